"""The words of the reports in Korean and English, in one place.

Plain text with ``{currency}``, ``{base}``, ``{quote}`` and ``{zone}`` where a run has its own.
The long tables, columns of the workbook and figures of a run, stand in `wording_tables`.
"""

from __future__ import annotations

from cryptosim_bt.reports.run_facts import RunFacts
from cryptosim_bt.reports.words.wording_proof import PROOF_COLUMNS, PROOF_TERMS
from cryptosim_bt.reports.words.wording_tables import COLUMNS, FIGURES

LANGUAGES = ("en", "ko")

# name: (English, Korean). First what the reports say, then the values that stand in the tables.
_TERMS: dict[str, tuple[str, str]] = {
    "summary_sheet": ("Summary", "요약"),
    "bars_sheet": ("Bars", "시세분석"),
    "trades_sheet": ("Trades", "거래내역"),
    "orders_sheet": ("Orders", "주문"),
    "sets_sheet": ("Sets", "포지션세트"),
    "fills_sheet": ("Fills", "체결"),
    "title": ("CryptoSim backtest", "CryptoSim 백테스트"),
    "item": ("Item", "항목"),
    "value": ("Value", "값"),
    "meaning": ("What it is", "설명"),
    "section_run": ("Run", "실행"),
    "section_return": ("Account and returns", "계좌와 수익률"),
    "section_trades": ("Trades and orders", "거래와 주문"),
    "section_costs": ("Costs", "비용"),
    "section_risk": ("Margin and risk", "증거금과 위험"),
    "section_data": ("Data", "데이터"),
    "section_made_of": ("Made of (for verify)", "실행 구성 (검증용)"),
    "section_other": ("Other", "기타"),
    "section_settings": ("Settings", "설정"),
    "section_sheets": ("Sheets", "시트"),
    "settings_note": (
        "Every key as resolved; the run's config.yaml holds the same",
        "적용된 모든 설정값. 같은 내용이 실행 폴더의 config.yaml에 있습니다",
    ),
    "bars_note": (
        "One row per bar: prices, indicators, signals, fills, position, account",
        "봉마다 한 행: 시세, 지표, 신호, 체결, 포지션, 계좌",
    ),
    "trades_note": (
        "One row per closed entry; of a plain backtrader strategy, per position from flat to flat",
        "청산된 진입마다 한 행 (일반 backtrader 전략은 포지션마다: 진입부터 전량 청산까지)",
    ),
    "orders_note": (
        "One row per order, from its making to its end",
        "주문마다 한 행 (생성부터 종료까지)",
    ),
    "sets_note": ("One row per PositionSet", "포지션 세트마다 한 행"),
    "fills_note": ("One row per fill", "체결마다 한 행"),
    "times_note": (
        "All times are {zone} unless a heading says UTC; a bar is named by its opening",
        "시간은 모두 {zone} 기준입니다 (제목에 UTC라고 쓴 열 제외). 봉의 시간은 시작 시각입니다",
    ),
    "colours_note": (
        "Long blue, short orange; profit green, loss red; bars with a fill are shaded",
        "롱 파랑, 숏 주황; 이익 초록, 손실 빨강; 체결이 있는 봉은 바탕색 표시",
    ),
    "synthetic": (
        "SYNTHETIC SAMPLE: made-up prices, not a real market",
        "합성 표본: 실제 시세가 아닌 가상의 가격입니다",
    ),
    "synthetic_short": ("SYNTHETIC SAMPLE", "합성 표본 (실제 시세 아님)"),
    "row_limit": (
        "Only the first {shown:,} of {total:,} rows fit into a sheet of Excel. "
        "All of them are in {file}, written by the ledger analyzer.",
        "엑셀 시트의 한계로 전체 {total:,}행 중 처음 {shown:,}행만 있습니다. "
        "전체는 ledger 분석기가 쓰는 {file}에 있습니다.",
    ),
    "none": ("none", "없음"),
    "no_value": ("-", "-"),
    "yes": ("yes", "예"),
    "no": ("no", "아니오"),
    # charts
    "price": ("price", "가격"),
    "close": ("close", "종가"),
    "high_low": ("high-low", "고가-저가"),
    "entry_long": ("long entry", "롱 진입"),
    "entry_short": ("short entry", "숏 진입"),
    "exit_profit": ("exit in profit", "이익 청산"),
    "exit_loss": ("exit at a loss", "손실 청산"),
    "liquidated": ("liquidation", "강제청산"),
    "set_born": ("set made", "세트 생성"),
    "set_ended": ("set closed", "세트 청산"),
    "contracts": ("contracts", "계약 수"),
    "long_contracts": ("long contracts", "롱 계약"),
    "short_contracts": ("short contracts", "숏 계약"),
    "balance": ("balance", "잔고"),
    "equity": ("equity", "총자산"),
    "initial": ("initial balance", "시작 잔고"),
    "open_sets": ("open sets", "미청산 세트"),
    "long_sets": ("long sets", "롱 세트"),
    "short_sets": ("short sets", "숏 세트"),
    "buy": ("buy", "매수"),
    "sell": ("sell", "매도"),
    "total_return": ("return", "수익률"),
    "drawdown": ("max drawdown", "최대 낙폭"),
    "trades": ("trades", "거래"),
    "hold": ("price", "가격 변동"),
    "time_axis": ("time ({zone})", "시간 ({zone})"),
    "resampled": ("{factor} bars joined into one", "{factor}개 봉을 하나로 묶음"),
    # values of the tables
    "long": ("long", "롱"),
    "short": ("short", "숏"),
    "entry": ("entry", "진입"),
    "exit": ("exit", "청산"),
    "take_profit": ("take-profit", "익절"),
    "stop_loss": ("stop-loss", "손절"),
    "signal_exit": ("signal exit", "신호 청산"),
    "liquidation": ("liquidation", "강제청산"),
    "close_at_end": ("close at end", "종료 청산"),
    "maker": ("maker", "메이커"),
    "taker": ("taker", "테이커"),
    "market": ("market", "시장가"),
    "limit": ("limit", "지정가"),
    "stop": ("stop", "스탑"),
    "stop_limit": ("stop-limit", "스탑 지정가"),
    "trailing_stop": ("trailing stop", "추적 스탑"),
    "trailing_stop_limit": ("trailing stop-limit", "추적 스탑 지정가"),
    "net": ("net", "순포지션"),
    "flip": ("flip: exit and entry", "전환: 청산 후 진입"),
    "working": ("working", "대기"),
    "filled": ("filled", "체결"),
    "cancelled": ("cancelled", "취소"),
    "expired": ("expired", "만료"),
    "rejected": ("rejected", "거부"),
    "open": ("open", "보유 중"),
    "closed": ("closed", "청산"),
    "sets_full": ("sets full", "세트 한도"),
    "max_concurrent": ("open sets at their limit", "동시 세트 한도"),
    "daily_loss": ("daily loss limit", "일일 손실 한도"),
    "min_size": ("below the smallest size", "최소 수량 미만"),
    "margin": ("not enough margin", "증거금 부족"),
    "its time had passed": ("its time had passed", "유효 시간 경과"),
    "replaced: its group grew": ("replaced: its group grew", "수량 증가로 교체"),
    "replaced by a newer signal exit": ("replaced by a newer signal exit", "새 신호 청산으로 교체"),
    "signal exit takes its place": ("signal exit takes its place", "신호 청산이 대신함"),
    "the Position became a set": ("the Position became a set", "포지션이 세트가 됨"),
    "cancelled by the strategy": ("cancelled by the strategy", "전략이 취소"),
    "not enough margin at its price": ("not enough margin at its price", "주문가 기준 증거금 부족"),
    "another of its OCO group filled": (
        "another of its OCO group filled", "OCO의 다른 주문이 체결됨",
    ),
    "another of its OCO group ended": (
        "another of its OCO group ended", "OCO의 다른 주문이 종료됨",
    ),
    "the other side of its bracket filled": (
        "the other side of its bracket filled", "브래킷의 반대쪽 주문이 체결됨",
    ),
    "its bracket ended": ("its bracket ended", "브래킷이 종료됨"),
    "its parent was refused": ("its parent was refused", "상위 주문이 거부됨"),
    "closed its group": ("{role} closed its group", "{role}로 그룹 청산됨"),
    **PROOF_TERMS,
}
_COLUMNS = {**COLUMNS, **PROOF_COLUMNS}


class Words:
    """The words of one language.

    Parameters
    ----------
    language
        ``"ko"`` or ``"en"``.
    names
        What stands for ``{currency}``, ``{base}``, ``{quote}``, ``{zone}``.
    """

    def __init__(self, language: str, **names: str) -> None:
        self._language = LANGUAGES.index(language)
        self._names = names

    @classmethod
    def of(cls, facts: RunFacts, language: str | None = None) -> Words:
        """Return the words for a run, in its own language if no other is asked for."""
        instrument = facts.instrument
        pair = instrument.symbol.partition(":")[0]
        return cls(
            language or facts.language,
            currency=instrument.currency,
            base=instrument.base,
            quote=pair.partition("/")[2],
            zone=facts.zone.key,
        )

    def term(self, name: str, **values: object) -> str:
        """Return a word or sentence of the reports."""
        return self._fill(_TERMS[name][self._language], values)

    def shown(self, value: str) -> str:
        """Return a value of the tables in words; one that is not known as it is."""
        role, closing, _ = value.partition(" closed its group")
        if closing:
            return self.term("closed its group", role=self.shown(role))
        return self.term(value) if value in _TERMS else value

    def heading(self, column: str) -> str:
        """Return the heading of a column; an indicator's is its name in capitals."""
        if column not in _COLUMNS:
            return column.upper()
        return self._fill(_COLUMNS[column][self._language], {})

    def note(self, column: str) -> str:
        """Return what a column holds; empty where its heading says it all."""
        return self._fill(_COLUMNS[column][2 + self._language], {}) if column in _COLUMNS else ""

    def figure(self, name: str) -> tuple[str, str]:
        """Return label and explanation of a figure of the summary."""
        if name not in FIGURES:
            return name, ""
        texts = FIGURES[name]
        label, meaning = texts[self._language], texts[2 + self._language]
        return self._fill(label, {}), self._fill(meaning, {})

    def _fill(self, text: str, values: dict[str, object]) -> str:
        return text.format(**{**self._names, **values})
