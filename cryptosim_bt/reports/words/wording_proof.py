"""The words of the workbook's proof, in English and Korean: see `wording`."""

from __future__ import annotations

from cryptosim_bt.reports.words.wording_tables import Entry

PROOF_TERMS: dict[str, tuple[str, str]] = {
    "days_sheet": ("Days", "일별"),
    "funding_sheet": ("Funding", "펀딩"),
    "charts_sheet": ("Charts", "차트"),
    "proof_sheet": ("Proof", "검산"),
    "ledger_sheet": ("Ledger", "장부"),
    "steps_sheet": ("Steps", "거래과정"),
    "section_proof": ("Proof", "검산"),
    "days_note": ("One row per local day", "하루마다 한 행"),
    "funding_note": ("One row per payment of a leg", "정산마다 방향별로 한 행"),
    "about_charts": ("Equity, balance and drawdown", "총자산, 잔고, 낙폭"),
    "about_proof": (
        "Every number that is computed again, beside the program's",
        "다시 계산한 값과 프로그램의 값 비교",
    ),
    "about_ledger": (
        "For the proof: balance, legs and groups rolled over fills and funding",
        "검산용: 체결과 펀딩을 따라 계산한 잔고, 방향, 그룹",
    ),
    "about_steps": (
        "For the proof: entries, exits and funding of each trade",
        "검산용: 거래마다 진입, 청산, 펀딩",
    ),
    "charts_note": (
        "Drawn from the sheet {sheet}; change a cell there and the chart follows",
        "'{sheet}' 시트의 값으로 그린 차트입니다",
    ),
    "account_chart": ("Equity and balance ({currency})", "총자산과 잔고 ({currency})"),
    "drawdown_chart": ("Drawdown (%)", "낙폭 (%)"),
    "formulas_note": (
        "The sheet Proof computes the numbers again with live formulas. The file holds no results "
        "of them: Excel and LibreOffice compute them when it is opened; a viewer that does not "
        "compute shows blanks there",
        "검산 시트는 수식으로 수치를 다시 계산합니다. 수식의 결과는 저장되어 있지 않고 엑셀이나 "
        "LibreOffice가 열 때 계산합니다. 계산하지 않는 뷰어에서는 빈칸으로 보입니다",
    ),
    "right": ("OK", "일치"),
    "wrong": ("differs", "불일치"),
    "given": ("taken as given", "미검산"),
    "rows_wrong": (" rows differ", "행 불일치"),
    "rows_given": (" taken as given", "개 미검산 (시트만으로 계산할 수 없는 값)"),
    "checked": (" rows, ", "행 다시 계산, "),
    "differing": (" differ, ", "행 불일치, "),
    "quoted": (" as given", "개 미검산"),
    "not_proved": ("not proved", "검산하지 않음"),
    "not_proved_note": (
        "Not proved: this run has more fills, payments, trades or sets than a sheet has rows",
        "검산하지 않음: 체결, 정산, 거래 또는 세트가 시트의 행 수보다 많습니다",
    ),
    "proof_verdict": ("Result of the proof", "검산 결과"),
    "proof_verdict_note": (
        "Every row of the sheet Proof: what formulas make of prices, contracts and rates, beside "
        "what the program wrote",
        "검산 시트의 모든 행: 가격, 계약 수, 요율만으로 다시 계산한 값과 프로그램이 쓴 값의 비교",
    ),
    "proved_summary": ("The figures of this sheet", "이 시트의 수치"),
    "proved_trades": (
        "Contracts, prices, PnL, fees, funding and net PnL of each trade, from the fills",
        "거래마다 계약 수, 가격, 손익, 수수료, 펀딩비, 순손익 (체결에서 계산)",
    ),
    "proved_sets": (
        "Contracts, average entry, take-profit price, PnL, fees and funding of each set",
        "세트마다 계약 수, 평균 진입가, 익절가, 손익, 수수료, 펀딩비",
    ),
    "proved_fills": (
        "Fee, PnL in both books, forgiven shortfall and the balance after each fill",
        "체결마다 수수료, 두 장부의 손익, 탕감된 부족액, 잔고",
    ),
    "proved_funding": (
        "Contracts, payment and the balance after each payment",
        "펀딩마다 계약 수, 금액, 잔고",
    ),
    "proved_bars": (
        "Balance, unrealised PnL and equity of each bar, and equity from both books; up to "
        "20,000 bars also contracts, averages and values of the legs, mark, returns and drawdown. "
        "Not proved: margin, liquidation prices, indicators, and the sheets of days and orders",
        "봉마다 잔고, 미실현 손익, 총자산, 두 장부의 총자산 비교, 2만 봉까지는 방향별 계약 수, "
        "평균 진입가와 가치, 평가가격, 수익률과 낙폭. 검산하지 않는 것: 증거금, 청산가, 지표, "
        "일별과 주문 시트",
    ),
    "tolerance": ("Tolerance", "허용 오차"),
    "tolerance_note": (
        "A row is OK where the difference is at most this share of the number and of a base: of "
        "money 0.003 % of the account times leverage, of prices 0, else 1. Change it as you like",
        "차이가 (수치 + 기준값)의 이 비율 이하이면 일치. 기준값: 금액은 계좌 × 레버리지의 0.003 %, "
        "가격은 0, 그 밖은 1. 바꿔 볼 수 있습니다",
    ),
    "proof_note": (
        "Computed: formulas of prices, contracts, rates and times of the other sheets, through "
        "the sheets Ledger and Steps. Engine: the cell that it proves. Filter the verdict to find "
        "what differs",
        "계산값: 다른 시트의 가격, 계약 수, 요율, 시각만 쓰는 수식 (장부, 거래과정 시트를 거침). "
        "엔진값: 검산하는 셀. 판정 열의 필터로 불일치를 찾을 수 있습니다",
    ),
    "proof_days_note": (
        "This run has more bars than formulas: of each day, the last bar is proved; drawdown, "
        "Sharpe and Sortino, which need every bar, are taken as given",
        "봉이 많아 하루의 마지막 봉만 검산합니다. 모든 봉이 필요한 최대 낙폭, 샤프, 소르티노는 "
        "검산하지 않습니다",
    ),
    "trade": ("trade", "거래"),
    "fill": ("fill", "체결"),
    "funding": ("funding", "펀딩"),
    "bar": ("bar", "봉"),
}

PROOF_COLUMNS: dict[str, Entry] = {
    "day": ("Day", "날짜", "Local day, {zone}", "{zone} 기준 날짜"),
    "day_return": (
        "Day's return (%)", "일수익률(%)",
        "Equity at the end of the day over that of the day before, minus one",
        "하루 끝의 총자산 / 전날 끝의 총자산 - 1",
    ),
    "drawdown": (
        "Drawdown (%)", "낙폭(%)", "Equity below its peak; of a day, the deepest",
        "총자산의 고점 대비 하락. 일별 시트에서는 그날의 최저",
    ),
    "trades_closed": ("Trades closed", "청산거래수", "", ""),
    "due": ("Due", "정산시각", "Funding time, {zone}", "펀딩 정산 시각 ({zone})"),
    "funding_rate": (
        "Rate", "펀딩요율", "Of the notional; a positive one is paid by longs",
        "명목 가치 대비. 양수면 롱이 지급",
    ),
    "funding_price": (
        "Price of funding", "기준가격", "The bar's open, of the mark where there is one",
        "봉의 시가 (시장평가가격이 있으면 그 시가)",
    ),
    "payment": (
        "Payment ({currency})", "펀딩금액({currency})", "Positive: received; negative: paid",
        "양수는 수령, 음수는 지급",
    ),
    "shortfall": (
        "Forgiven ({currency})", "탕감액({currency})",
        "Loss beyond the balance, forgiven by the exchange after this fill",
        "이 체결 뒤 거래소가 떠안은 손실",
    ),
    "transaction": (
        "Entry", "진입번호", "Number of the entry that it belongs to", "속한 진입의 번호",
    ),
    "transactions": (
        "Made of entries", "포함된 진입", "Numbers of its entries", "세트를 이룬 진입 번호",
    ),
    # ---------------------------------------------------------------- proof
    "proof_kind": ("Sheet", "시트", "Where the number stands", "수치가 있는 시트"),
    "proof_what": ("Of", "대상", "", ""),
    "proof_figure": ("Figure", "항목", "", ""),
    "proof_time": ("Time", "시각", "{zone}", "{zone} 기준"),
    "computed": (
        "Computed", "계산값", "By formulas of prices, contracts and rates",
        "가격, 계약 수, 요율의 수식",
    ),
    "engine": (
        "Engine", "엔진값",
        "The cell that is proved. Of equity from the other book: what the first gave",
        "검산하는 셀. 두 장부 비교에서는 거래소 장부의 계산값",
    ),
    "difference": ("Difference", "차이", "", ""),
    "verdict": ("Verdict", "판정", "", ""),
    "before_tick": (
        "Before the tick", "틱 적용 전", "Take-profit price before it is put on the tick",
        "틱에 맞추기 전의 익절가",
    ),
    "peak": ("Peak", "고점", "Highest equity so far", "지금까지의 최고 총자산"),
    "fall": ("Fall", "하락", "1 - equity / peak", "1 - 총자산 / 고점"),
    "bar_return": ("Bar's return", "봉수익률", "", ""),
    "fall_squared": ("Loss squared", "손실제곱", "For Sortino", "소르티노 계산용"),
    "books": (
        "Equity from both books", "두 장부의 총자산", "", "",
    ),
    # ---------------------------------------------------------------- ledger
    "event": ("No.", "번호", "Fills and funding in the order in which they happened",
              "체결과 펀딩을 일어난 순서대로"),
    "event_time": ("Time", "시간", "{zone}", "{zone} 기준"),
    "event_kind": ("What", "구분", "", ""),
    "event_group": ("Group", "그룹", "", ""),
    "sign": ("Sign", "부호", "1 long, -1 short", "1 롱, -1 숏"),
    "event_contracts": ("Contracts", "계약수", "", ""),
    "event_price": ("Price", "가격", "", ""),
    "rate": ("Rate", "요율", "Of the fee, or of funding", "수수료 또는 펀딩 요율"),
    "event_fee": ("Fee", "수수료", "Rate x notional, and its share of a liquidation fee",
                  "요율 x 명목 가치, 강제청산 수수료 몫 포함"),
    "event_realized": ("PnL, exchange", "거래소손익", "Against the leg's average",
                       "방향 평균 기준"),
    "event_payment": ("Funding", "펀딩", "Positive: received", "양수는 수령"),
    "event_shortfall": ("Forgiven", "탕감액", "", ""),
    "event_balance": ("Balance", "잔고", "The exchange's book", "거래소 장부"),
    "long_held": ("Long contracts", "롱 계약", "", ""),
    "long_entry_value": (
        "Long entry value", "롱 진입값",
        "Sum of contracts / price (inverse) or contracts x price (linear): makes the average",
        "계약/가격 (인버스) 또는 계약 x 가격 (선형)의 합: 평균 진입가의 바탕",
    ),
    "short_held": ("Short contracts", "숏 계약", "", ""),
    "short_entry_value": ("Short entry value", "숏 진입값", "", ""),
    "group_held": ("Group contracts", "그룹 계약", "Of the group of this fill, after it",
                   "이 체결이 속한 그룹의 체결 후 계약"),
    "group_entry_value": ("Group entry value", "그룹 진입값", "", ""),
    "event_group_pnl": ("PnL, group", "그룹손익", "Against the group's average", "그룹 평균 기준"),
    "set_pnl": ("PnL, set", "세트손익", "Of the set so far", "세트의 누계 손익"),
    "book_balance": ("Balance, strategy", "전략 장부 잔고", "The strategy's book", "전략 장부"),
    "long_group_value": ("Long groups' value", "롱 그룹합", "Entry values of all long groups",
                         "모든 롱 그룹의 진입값 합"),
    "short_group_value": ("Short groups' value", "숏 그룹합", "", ""),
    "long_group_square": ("Long groups' squares", "롱 그룹제곱",
                          "Entry value squared / contracts, of all long groups",
                          "진입값 제곱 / 계약의 합"),
    "short_group_square": ("Short groups' squares", "숏 그룹제곱", "", ""),
    "long_funding": ("Long funding", "롱 펀딩누계", "Received by one long contract so far",
                     "롱 1계약이 지금까지 받은 펀딩"),
    "short_funding": ("Short funding", "숏 펀딩누계", "", ""),
    "liquidations_so_far": ("Liquidations", "강제청산수", "So far", "누계"),
    "liquidated": ("Liquidated", "강제청산 계약", "All contracts of the liquidation",
                   "이 강제청산의 전체 계약"),
    "left_over": ("Left over", "남은 금액", "Balance or margin, PnL and taker fees of it all",
                  "잔고(격리는 증거금) + 손익 - 테이커 수수료"),
    "penalty": ("Liquidation fee", "강제청산 수수료", "No more than what is left",
                "남은 금액까지만"),
    "long_margin_raw": ("Long margin before", "롱 증거금(축소 전)", "", ""),
    "short_margin_raw": ("Short margin before", "숏 증거금(축소 전)", "", ""),
    "long_margin": ("Long margin", "롱 증거금", "Isolated margin (R27, R28)", "격리 증거금"),
    "short_margin": ("Short margin", "숏 증거금", "", ""),
    # ---------------------------------------------------------------- steps
    "step_transaction": ("Entry", "진입번호", "Number of the entry", "진입 번호"),
    "step_group": ("Set", "세트", "What it came into", "속하게 된 세트"),
    "step_kind": ("What", "구분", "", ""),
    "step_event": ("Ledger no.", "장부 번호", "Row of the ledger", "장부의 번호"),
    "step_contracts": ("Contracts", "계약수", "Entered, or its share of what an exit closed",
                       "진입한 계약, 또는 청산 중 이 진입의 몫"),
    "step_price": ("Price", "가격", "", ""),
    "step_entered": ("Entered", "진입 누계", "", ""),
    "step_entry_value": ("Entry value", "진입값", "", ""),
    "step_open": ("Open", "보유", "Held after the step", "단계 후 보유 계약"),
    "step_open_value": ("Open value", "보유 진입값", "Entry value of what is held",
                        "보유 계약의 진입값"),
    "step_exit_value": ("Exit value", "청산값", "", ""),
    "step_fee": ("Fee", "수수료", "", ""),
    "step_gross": ("PnL", "손익", "Against its own entry price", "진입가 기준"),
    "step_funding": ("Funding paid", "펀딩비", "Since the step before", "이전 단계 이후"),
}
