"""The columns of the workbook and the figures of a run, in words: see `wording`.

Each entry: name in English, name in Korean, what it is in English, what it is in Korean. The
Korean names of the first CryptoSim's columns are kept to the letter: its user's own sheets and
macros look for them.
"""

from __future__ import annotations

Entry = tuple[str, str, str, str]

COLUMNS: dict[str, Entry] = {
    # ---------------------------------------------------------------- bars
    "time": ("Time", "시간", "Opening of the bar, {zone}", "봉의 시작 시각 ({zone})"),
    "time_utc": ("Time (UTC)", "시간(UTC)", "The same time in UTC", "같은 시각 (UTC)"),
    "open": ("Open", "시가", "", ""),
    "high": ("High", "고가", "", ""),
    "low": ("Low", "저가", "", ""),
    "close": ("Close", "종가", "", ""),
    "buy_signal": (
        "Buy signal", "매수신호",
        "What the strategy asked for at the close of this bar, if it is a buy",
        "이 봉의 종가에서 전략이 낸 매수 신호 (롱 진입, 숏 청산)",
    ),
    "sell_signal": (
        "Sell signal", "매도신호",
        "What the strategy asked for at the close of this bar, if it is a sell",
        "이 봉의 종가에서 전략이 낸 매도 신호 (숏 진입, 롱 청산)",
    ),
    "fill_orders": (
        "Order ID", "거래ID",
        "Orders that filled in this bar, in order. A liquidation has none",
        "이 봉에서 체결된 주문 번호 (순서대로). 강제청산은 번호가 없습니다",
    ),
    "fill_actions": (
        "Action", "거래방향", "What each fill of this bar was", "이 봉의 체결 내용",
    ),
    "fill_prices": (
        "Fill price", "거래가격",
        "Price of the fill; of several, their average by contracts (each stands in Fills)",
        "체결 가격. 여러 건이면 계약 수 가중 평균 (각 건은 체결 시트에 있습니다)",
    ),
    "fill_contracts": (
        "Fill contracts", "거래크기",
        "Contracts that filled; of several fills their sum (each stands in Fills)",
        "체결 계약 수. 여러 건이면 합계 (각 건은 체결 시트에 있습니다)",
    ),
    "fill_pnl": (
        "Fill PnL", "거래수익",
        "{currency}, all exits of this bar together, against their group's average, before fees",
        "이 봉의 청산 손익 합계 ({currency}, 그룹 평균 진입가 기준, 수수료 전)",
    ),
    "fill_fees": (
        "Fill fees ({currency})", "거래수수료({currency})",
        "Fees of all fills of this bar", "이 봉의 체결 수수료 합계",
    ),
    "long_contracts": (
        "Long contracts", "총 롱크기", "Contracts held long after the bar", "봉 이후 롱 계약 수",
    ),
    "long_sets": ("Long sets", "롱Set", "Open long sets", "보유 중인 롱 세트 수"),
    "long_average": (
        "Long entry", "총 롱진입가", "Average entry of the long leg", "롱 전체의 평균 진입가",
    ),
    "long_value": (
        "Long value", "총 롱가치", "Notional of the long leg at the close, {currency}",
        "종가 기준 롱 명목 가치 ({currency})",
    ),
    "short_contracts": (
        "Short contracts", "총 숏크기", "Contracts held short after the bar", "봉 이후 숏 계약 수",
    ),
    "short_sets": ("Short sets", "숏Set", "Open short sets", "보유 중인 숏 세트 수"),
    "short_average": (
        "Short entry", "총 숏진입가", "Average entry of the short leg", "숏 전체의 평균 진입가",
    ),
    "short_value": (
        "Short value", "총 숏가치", "Notional of the short leg at the close, {currency}",
        "종가 기준 숏 명목 가치 ({currency})",
    ),
    "net_contracts": (
        "Net contracts", "포지션크기", "Long contracts minus short contracts", "롱 계약 - 숏 계약",
    ),
    "position_return": (
        "Position return (%)", "포지션수익율(%)",
        "Unrealised PnL over the initial margin of both legs at their averages",
        "미실현 손익 / 양방향 평균 진입가 기준 증거금",
    ),
    "unrealized_pnl": (
        "Unrealised PnL ({currency})", "미실현손익({currency})",
        "PnL of both legs at the close", "종가 기준 양방향 평가 손익",
    ),
    "margin": (
        "Margin ({currency})", "총마진({currency})",
        "Initial margin of both legs and of waiting entries, at the close",
        "종가 기준 포지션과 대기 중인 진입 주문의 증거금",
    ),
    "balance": (
        "Balance ({currency})", "거래잔고({currency})",
        "The wallet: what is realised, fees and funding included",
        "지갑 잔고: 실현 손익, 수수료, 펀딩 반영",
    ),
    "equity": (
        "Equity ({currency})", "총자산({currency})",
        "Balance plus unrealised PnL", "잔고 + 미실현 손익",
    ),
    "mark": (
        "Mark price", "시장평가가격", "Price of unrealised PnL and margin",
        "미실현 손익과 증거금의 기준 가격",
    ),
    "liquidation_below": (
        "Liquidation below", "청산가(하락)", "Price at or below which something is liquidated",
        "이 가격 이하로 내리면 강제청산",
    ),
    "liquidation_above": (
        "Liquidation above", "청산가(상승)", "Price at or above which something is liquidated",
        "이 가격 이상으로 오르면 강제청산",
    ),
    "cumulative_return": (
        "Cumulative return (%)", "누적수익률(%)",
        "Equity over the initial balance, minus one", "총자산 / 시작 잔고 - 1",
    ),
    # ---------------------------------------------------------------- trades, orders, sets, fills
    "entry_time": (
        "Entry time", "진입시간", "Bar of the entry, {zone}", "진입한 봉의 시각 ({zone})",
    ),
    "exit_time": (
        "Exit time", "청산시간", "Bar of the exit, {zone}", "청산한 봉의 시각 ({zone})",
    ),
    "side": ("Side", "포지션", "", ""),
    "base_amount": (
        "Amount ({base})", "수량({base})",
        "Coins that the contracts stood for at the entry or order price",
        "진입가(주문가) 기준 코인 수량",
    ),
    "entry_price": ("Entry price", "진입가격", "", ""),
    "exit_price": ("Exit price", "청산가격", "", ""),
    "invested_margin": (
        "Margin invested ({currency})", "투입마진({currency})",
        "Initial margin at the entry price: notional / leverage",
        "진입가 기준 증거금: 명목 가치 / 레버리지",
    ),
    "net_pnl": (
        "PnL ({currency})", "손익({currency})",
        "After fees and funding", "수수료와 펀딩을 뺀 순손익",
    ),
    "return_on_margin": (
        "Return (%)", "수익률(%)", "PnL over the margin invested", "손익 / 투입마진",
    ),
    "exit_reason": ("Exit reason", "청산이유", "", ""),
    "id": (
        "Trade", "거래번호", "Trades are numbered as they close; of a plain strategy, as they open",
        "청산된 순번 (일반 전략은 진입 순번)",
    ),
    "contracts": ("Contracts", "계약수", "", ""),
    "gross_pnl": (
        "PnL before costs ({currency})", "매매손익({currency})",
        "Against its own entry price, before fees and funding",
        "진입가 기준, 수수료와 펀딩 전",
    ),
    "fees": (
        "Fees ({currency})", "수수료({currency})", "Paid for entry and exit",
        "진입과 청산 수수료",
    ),
    "funding_paid": (
        "Funding paid ({currency})", "펀딩비({currency})",
        "Positive: paid; negative: received", "양수는 지급, 음수는 수령",
    ),
    "group": (
        "Group", "그룹",
        "What held it: P-long and P-short are the open Positions, S1, S2 ... the sets",
        "속한 그룹: P-long, P-short는 열린 포지션, S1, S2 ...는 세트",
    ),
    "hours_held": ("Hours held", "보유시간", "", ""),
    "order_id": ("Order ID", "주문번호", "", ""),
    "created": ("Created", "생성시간", "{zone}", "{zone} 기준"),
    "role": ("Purpose", "용도", "", ""),
    "action": ("Buy / sell", "매매", "", ""),
    "type": ("Type", "주문유형", "", ""),
    "price": ("Price", "가격", "Limit, or the trigger of a stop", "지정가 또는 스탑 발동가"),
    "limit_price": (
        "Limit", "지정가격", "Limit of a stop-limit order", "스탑 지정가 주문의 지정가",
    ),
    "parent_id": (
        "Parent", "상위 주문", "Order whose fill it waits for", "체결을 기다리는 상위 주문",
    ),
    "status": ("Status", "상태", "", ""),
    "ended": ("Ended", "종료시간", "{zone}", "{zone} 기준"),
    "reason": ("Reason", "사유", "Why it ended without a fill", "체결 없이 끝난 이유"),
    "filled_contracts": ("Filled", "체결계약", "Contracts filled", "체결된 계약 수"),
    "fill_price": ("Fill price", "체결가격", "", ""),
    "set": ("Set", "세트", "", ""),
    "born": ("Made", "세트생성시간", "{zone}", "{zone} 기준"),
    "entries": ("Entries", "진입횟수", "", ""),
    "average_entry": ("Average entry", "평균진입가", "", ""),
    "take_profit_price": ("Take-profit price", "익절가격", "", ""),
    "stop_loss_price": ("Stop-loss price", "손절가격", "", ""),
    "group_pnl": (
        "PnL before costs ({currency})", "매매손익({currency})",
        "Against the group's average entry, before fees and funding",
        "그룹 평균 진입가 기준, 수수료와 펀딩 전",
    ),
    "realized_pnl": (
        "Exchange PnL ({currency})", "거래소손익({currency})",
        "Against the average of the whole leg, as the exchange books it",
        "거래소 방식: 해당 방향 전체의 평균 진입가 기준",
    ),
    "fee": ("Fee ({currency})", "수수료({currency})", "", ""),
    "liquidity": (
        "Liquidity", "유동성", "maker: rested in the book; taker: took from it",
        "메이커: 호가에 대기; 테이커: 즉시 체결",
    ),
}  # fmt: skip

FIGURES: dict[str, Entry] = {
    "symbol": (
        "Symbol", "종목", "Market, as ccxt writes it: BASE/QUOTE:SETTLE",
        "ccxt 표기: 기초/호가:정산 통화",
    ),
    "strategy": ("Strategy", "전략", "Name and parameters", "이름과 매개변수"),
    "timeframe": ("Timeframe", "봉 간격", "Length of a bar", "봉 하나의 길이"),
    "timezone": (
        "Time zone", "시간대", "Of all times in this workbook and of a trading day",
        "이 파일의 모든 시간과 하루의 기준",
    ),
    "start": ("Start", "시작", "First bar that could trade, {zone}", "첫 거래 봉 ({zone})"),
    "end": ("End", "종료", "End of the last bar, {zone}", "마지막 봉의 끝 ({zone})"),
    "bars_traded": ("Bars traded", "거래 봉 수", "Bars of the window", "거래 기간의 봉 수"),
    "bars_loaded": (
        "Bars loaded", "불러온 봉 수", "With the warm-up of the indicators before the window",
        "지표 준비 구간 포함",
    ),
    "version": (
        "CryptoSim version", "CryptoSim 버전", "Program that made the run", "실행한 프로그램",
    ),
    "currency": (
        "Currency", "정산 통화", "The account's money; all amounts are in it",
        "계좌 통화. 모든 금액의 단위",
    ),
    "initial_balance": (
        "Initial balance", "시작 잔고", "{currency} at the start", "시작 시 {currency}",
    ),
    "final_balance": (
        "Final balance", "최종 잔고", "Wallet at the end, open positions not counted",
        "종료 시 지갑 (미청산 포지션 제외)",
    ),
    "final_equity": (
        "Final equity", "최종 총자산", "Balance plus unrealised PnL at the last close",
        "잔고 + 마지막 종가의 미실현 손익",
    ),
    "unrealized_pnl": (
        "Unrealised PnL", "미실현 손익", "Of what is still open, at the last close",
        "미청산 포지션의 평가 손익",
    ),
    "total_return": (
        "Total return", "총수익률", "Final equity / initial balance - 1",
        "최종 총자산 / 시작 잔고 - 1",
    ),
    "total_return_usd": (
        "Total return in {quote}", "총수익률 ({quote})",
        "Equity times price against the start; coin-margined accounts only",
        "자산을 {quote} 가치로 환산한 수익률 (코인 마진 계좌)",
    ),
    "annual_return": (
        "Annual return", "연환산 수익률", "(1 + total return) ^ (365 days / window) - 1",
        "(1 + 총수익률) ^ (365일 / 기간) - 1",
    ),
    "buy_and_hold_return": (
        "Price change", "가격 변동률 (단순 보유)",
        "Last close / first open - 1: buy and hold, in {quote}",
        "마지막 종가 / 첫 시가 - 1 ({quote})",
    ),
    "max_drawdown": (
        "Maximum drawdown", "최대 낙폭", "Largest fall of bar-close equity from its peak",
        "총자산(봉 종가 기준)의 고점 대비 최대 하락",
    ),
    "sharpe": (
        "Sharpe ratio", "샤프 지수", "Mean / deviation of bar returns, annualised, risk-free 0",
        "봉 수익률 평균 / 표준편차, 연환산, 무위험 0",
    ),
    "sortino": (
        "Sortino ratio", "소르티노 지수", "As Sharpe, with falls only in the deviation",
        "샤프와 같되 하락만 위험으로 계산",
    ),
    "fills": ("Fills", "체결 수", "Orders that filled, liquidations included", "강제청산 포함"),
    "trades": (
        "Trades", "거래 수", "Closed entries; of a plain strategy, positions from flat to flat",
        "청산된 진입 수 (일반 전략은 전량 청산된 포지션 수)",
    ),
    "wins": ("Wins", "승", "Trades that earned after fees and funding", "순손익이 0보다 큰 거래"),
    "losses": ("Losses", "패", "All other trades", "그 밖의 거래"),
    "win_rate": ("Win rate", "승률", "Wins / trades", "승 / 거래 수"),
    "profit_factor": (
        "Profit factor", "손익비 (Profit factor)", "Sum of wins / sum of losses",
        "이익 합계 / 손실 합계",
    ),
    "entries_refused": (
        "Entries refused", "거부된 진입", "Signals or orders that a rule turned down, by reason",
        "규칙에 따라 주문하지 않은 신호와 거부된 주문 (이유별)",
    ),
    "orders_expired": (
        "Orders expired", "만료된 주문", "Orders that did not fill in time",
        "시간 안에 체결되지 않은 주문",
    ),
    "open_sets": ("Open sets", "미청산 세트", "Sets open at the end", "종료 시 보유 중인 세트"),
    "open_contracts.long": (
        "Open contracts, long", "미청산 계약 (롱)", "Held at the end", "종료 시 보유",
    ),
    "open_contracts.short": (
        "Open contracts, short", "미청산 계약 (숏)", "Held at the end", "종료 시 보유",
    ),
    "fees_paid": (
        "Fees paid", "수수료 합계", "Of all fills, liquidation fees included",
        "모든 체결의 수수료 (강제청산 수수료 포함)",
    ),
    "funding_paid": (
        "Funding paid", "펀딩비 합계", "Positive: paid; negative: received",
        "양수는 지급, 음수는 수령",
    ),
    "liquidations": (
        "Liquidations", "강제청산 횟수", "Times the account was liquidated",
        "계좌가 강제청산된 횟수",
    ),
    "shortfall": (
        "Shortfall", "부족액", "Losses beyond the balance, forgiven by the exchange",
        "잔고를 넘어 거래소가 떠안은 손실",
    ),
    "funding_missing": (
        "Missing funding rates", "빠진 펀딩비", "Funding times without a rate in the series",
        "펀딩비 자료에 없는 정산 시각",
    ),
    "funding_missing.share": (
        "Share of funding filled in", "채워 넣은 펀딩 비율",
        "Missing funding times over all of the window", "기간 전체 중 빠진 정산 시각의 비율",
    ),
    "funding_missing.missing": (
        "Funding times filled in", "채워 넣은 펀딩 횟수", "How many were missing", "빠진 횟수",
    ),
    "funding_missing.first": (
        "First missing funding", "처음 빠진 펀딩", "Its time, UTC", "그 시각 (UTC)",
    ),
    "funding_missing.funding_paid_worst": (
        "Funding paid at worst", "펀딩 지급(최악)",
        "Had each of them been the series' worst rate for what was held",
        "빠진 비율이 모두 가장 불리했을 때",
    ),
    "funding_missing.funding_paid_best": (
        "Funding paid at best", "펀딩 지급(최선)",
        "Had each of them been the series' best rate for what was held",
        "빠진 비율이 모두 가장 유리했을 때",
    ),
    "funding_late": (
        "Funding charged late", "늦게 정산한 펀딩 횟수",
        "Funding times in holes of the bars, charged at the open of the first bar after",
        "봉이 빠진 구간의 정산 시각. 그 다음 첫 봉의 시가로 정산",
    ),
    "margin_mode": (
        "Margin mode", "증거금 방식", "cross: the whole balance; isolated: a margin for each leg",
        "cross: 잔고 전체, isolated: 방향별 격리",
    ),
    "mark": (
        "Mark price", "시장평가가격", "Where unrealised PnL, margin and liquidation are measured",
        "미실현 손익, 증거금, 강제청산의 기준 가격",
    ),
    "min_liquidation_distance": (
        "Nearest to liquidation", "청산가까지 최소 거리",
        "Smallest distance of the price from a liquidation price, as a share of the price",
        "가격이 청산가에 가장 가까웠을 때의 거리 (가격 대비)",
    ),
    "ambiguous_bars.total": (
        "Ambiguous bars", "순서가 불확실한 봉",
        "Bars that alone cannot say what came first in them",
        "봉만으로는 먼저 일어난 일을 알 수 없는 봉",
    ),
    "ambiguous_bars.entry_and_exit": (
        "… entry and exit", "… 진입과 청산", "An entry and an exit of one side are both touched",
        "같은 방향의 진입과 청산이 모두 닿은 봉",
    ),
    "ambiguous_bars.take_profit_and_stop": (
        "… take-profit and stop", "… 익절과 손절", "Both of one group are touched",
        "한 그룹의 익절과 손절이 모두 닿은 봉",
    ),
    "ambiguous_bars.exit_and_liquidation": (
        "… exit and liquidation", "… 청산 주문과 강제청산",
        "An exit is touched and the liquidation price reached",
        "청산 주문이 닿고 강제청산가에도 이른 봉",
    ),
    "ambiguity.rules.final_equity": (
        "Equity by the rules", "총자산(규칙)", "Final equity of this run", "이 실행의 최종 총자산",
    ),
    "ambiguity.rules.max_drawdown": (
        "Drawdown by the rules", "낙폭(규칙)", "Largest drawdown of this run",
        "이 실행의 최대 낙폭",
    ),
    "ambiguity.best.final_equity": (
        "Equity, best order", "총자산(유리한 순서)",
        "Final equity with exits before stops in every bar", "봉마다 청산이 손절보다 먼저일 때",
    ),
    "ambiguity.best.max_drawdown": (
        "Drawdown, best order", "낙폭(유리한 순서)",
        "Largest drawdown of that run", "그 실행의 최대 낙폭",
    ),
    "ambiguity.worst.final_equity": (
        "Equity, worst order", "총자산(불리한 순서)",
        "Final equity with entries before exits in every bar", "봉마다 진입이 청산보다 먼저일 때",
    ),
    "ambiguity.worst.max_drawdown": (
        "Drawdown, worst order", "낙폭(불리한 순서)",
        "Largest drawdown of that run", "그 실행의 최대 낙폭",
    ),
    "provenance.directory": (
        "Folder", "폴더", "Where the configuration stood", "설정 파일이 있던 폴더",
    ),
    "provenance.bars_sha256": (
        "SHA-256 of the bars", "봉 SHA-256", "Of the bars that the run used",
        "실행에 쓴 봉의 값",
    ),
    "provenance.inputs": (
        "SHA-256 of another file", "다른 파일 SHA-256", "By its key in the configuration",
        "설정 키별",
    ),
    "provenance.strategy": (
        "Strategy's source", "전략 소스", "SHA-256 of its file", "소스 파일의 SHA-256",
    ),
    "provenance.feed": (
        "Feed's source", "피드 소스", "SHA-256 of its file", "소스 파일의 SHA-256",
    ),
    "provenance.python": ("Python", "파이썬", "Version", "버전"),
    "provenance.libraries": ("Library", "라이브러리", "Version", "버전"),
    "data.source": ("Data source", "데이터 출처", "Feed of the bars", "봉을 준 피드"),
    "data.file": ("Data file", "데이터 파일", "File of the bars", "봉을 읽은 파일"),
    "data.sha256": (
        "SHA-256 of the file", "파일 SHA-256", "Tells whether it is still the same file",
        "같은 파일인지 확인하는 값",
    ),
    "data.synthetic": (
        "Synthetic", "합성 데이터", "Whether prices are made up", "가상의 가격인지 여부",
    ),
}  # fmt: skip
