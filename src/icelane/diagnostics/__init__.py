"""Why there is no call: checks from this machine, joined into one named cause and one mend.

    report = await run_checks([Check("STUN over UDP", lambda: check_stun("stun:turn.example.org"))])
    for result in report.results:
        print(result.status, result.name, result.detail)
    if report.verdict is not None:
        print(report.verdict.sentence, report.verdict.mend)

`check` has the words and the runner, `report` the rules that join. The checks themselves: `name_check`, `web_check`,
`certificate_check`, `clock_check`, `turn_check`, `relay_probe`. `icelane doctor` runs them from anywhere, `icelane dev`
at its start, and the node for its own diagnosis page. They contact what the caller names, so what a stranger has named
never comes here.
"""

from icelane.diagnostics.check import Cause, Check, CheckResult, CheckStatus, run_checks
from icelane.diagnostics.report import Report, Verdict, join

__all__ = ["Cause", "Check", "CheckResult", "CheckStatus", "Report", "Verdict", "join", "run_checks"]
