"use strict";
// The words of the page by their ids: English, Korean. They come with the page, as its data do.
const PageWords = (() => {
  const WORDS = JSON.parse(document.getElementById("words").textContent);

  let language = 0;

  /** Return a word or sentence in the language chosen; one that is not known as it is. */
  function word(name, values = {}) {
    const text = Object.hasOwn(WORDS, name) ? WORDS[name][language] : name;
    return text.replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
  }

  return {
    word,
    get language() { return language ? "ko" : "en"; },
    set language(name) { language = name === "ko" ? 1 : 0; },
  };
})();
