"""Why there is no call: checks from this machine, joined into one named cause and one mend.

    report = await run_checks([Check("STUN over UDP", lambda: check_stun("stun:turn.example.org"))])
    for result in report.results:
        print(result.status, result.name, result.detail)
    if report.verdict is not None:
        print(report.verdict.sentence, report.verdict.mend)

`result` has the words, `check` runs, `report` joins by its rules, `plan` knows which checks there are for a server. The
checks themselves: `web_check`, `certificate_check`, `turn_check` over `relay_check`, `relay_probe`. `icelane doctor`
runs them from anywhere, `icelane dev` at its start, the node for its page of diagnosis, for which `echo` answers calls
and `shared_report` keeps reports. Checks contact what the caller names, so what a stranger has named never comes here.

Left out on purpose: what a NAT does (`icelane stun --behavior`), throughput (`icelane turn bench`), and any third
machine that would have to be trusted.
"""

from icelane.diagnostics.check import Check, run_checks
from icelane.diagnostics.report import Report, Verdict, join
from icelane.diagnostics.result import Cause, CheckResult, CheckStatus

__all__ = ["Cause", "Check", "CheckResult", "CheckStatus", "Report", "Verdict", "join", "run_checks"]
