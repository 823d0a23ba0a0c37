"""Links between orders (OCO groups, brackets); the caller acts on them.

Orders are identified by their reference alone.

- OCO: the first order of a group that fills, even in part, or ends otherwise, ends all others.
- Bracket: children are inactive until the parent has filled fully, or has ended partly filled. When
  one child has filled fully, its siblings end (a partial fill shrinks them); when any member ends
  otherwise, all others end.
"""

from __future__ import annotations


class OrderRelations:
    """Groups and brackets of the orders that still work."""

    def __init__(self) -> None:
        # Each working order's group leader, and each leader's group.
        self._leaders: dict[int, int] = {}
        self._groups: dict[int, list[int]] = {}
        # Each member's bracket, known by the parent, and each bracket's working members.
        self._parents: dict[int, int] = {}
        self._brackets: dict[int, list[int]] = {}

    def add(self, ref: int, oco: int | None = None, parent: int | None = None) -> None:
        """Take an order in; ``oco`` names any member of its group, ``parent`` its bracket.

        An ``oco`` that no longer works leaves the order on its own.
        """
        leader = ref if oco is None else self._leaders.get(oco, ref)
        self._leaders[ref] = leader
        self._groups.setdefault(leader, []).append(ref)
        bracket = ref if parent is None else parent
        self._parents[ref] = bracket
        self._brackets.setdefault(bracket, []).append(ref)

    def leader(self, ref: int) -> int:
        """Return the first order of an order's OCO group, itself if it has none."""
        return self._leaders.get(ref, ref)

    def take_rivals(self, ref: int) -> list[int]:
        """Dissolve an order's OCO group and return the others in it, newer first."""
        group = self._groups.pop(self._leaders.get(ref, ref), [])
        for member in group:
            self._leaders.pop(member, None)
        return [member for member in reversed(group) if member != ref]

    def take_children(self, ref: int) -> list[int]:
        """Drop a filled parent from its bracket and return the children, which are active now."""
        return [member for member in self._drop(ref) if self._parents.get(member) == ref]

    def take_bracket(self, ref: int) -> list[int]:
        """Dissolve the bracket of an order and return its other members, older first."""
        bracket = self._brackets.pop(self._parents.get(ref, ref), [])
        for member in bracket:
            self._parents.pop(member, None)
        return [member for member in bracket if member != ref]

    def siblings(self, ref: int) -> list[int]:
        """Return the other members of an order's bracket, older first."""
        bracket = self._brackets.get(self._parents.get(ref, ref), [])
        return [member for member in bracket if member != ref]

    def is_child(self, ref: int) -> bool:
        """Tell whether an order is a child of another."""
        return self._parents.get(ref, ref) != ref

    def leave(self, ref: int) -> None:
        """Take an order out of its bracket; the others stay together."""
        self._drop(ref)

    def _drop(self, ref: int) -> list[int]:
        parent = self._parents.pop(ref, ref)
        bracket = self._brackets.get(parent, [])
        if ref in bracket:
            bracket.remove(ref)
        if not bracket:
            self._brackets.pop(parent, None)
        return bracket
