"""Workers that are not one server, or do not get over the death of one."""

# ruff: noqa: ARG005 -- a replacement has the signature of what it replaces

from __future__ import annotations

from icelane.server.workers import supervisor
from icelane.server.workers.ledger import Ledger, SharedTally
from icelane.server.workers.process import WorkerProcess
from icelane.server.workers.sockets import ListenerGroup
from icelane.server.workers.supervisor import Supervisor
from icelane.turn.quota import LocalTally
from icelane.turn.relay_ports import RelayPorts
from tests.broken.registry import breaks, swap

SUPERVISOR = "tests/server/workers/test_supervisor.py"
LEDGER = "tests/server/workers/test_ledger.py"
SIBLINGS = "tests/turn/test_siblings.py"
KILLED = f"{SUPERVISOR}::test_clients_of_other_processes_lose_nothing_when_one_is_killed[uvloop]"


@breaks("OP-5", test=KILLED)
def a_dead_worker_is_not_replaced() -> None:
    swap(Supervisor, "_replace", lambda self, index: None)


@breaks("OP-5", "TQ-6", test=KILLED)
def what_a_dead_worker_had_counted_stays_counted() -> None:
    swap(Ledger, "clear", lambda self, worker: None)


@breaks("OP-5", test=KILLED)
def listening_sockets_die_with_their_worker() -> None:
    def given_away(self: ListenerGroup, worker: int) -> int:
        # Bound anew where its predecessor's is gone, which changes whom the system gives to whom.
        kept = self._sockets[worker]
        if kept.fileno() < 0:
            raise OSError("it went with the worker")
        return kept.detach()

    swap(ListenerGroup, "descriptor_for", given_away)


@breaks("OP-5", test=f"{SUPERVISOR}::test_a_process_that_does_not_answer_is_taken_for_dead[uvloop]")
def a_silent_worker_is_waited_for() -> None:
    swap(supervisor, "UNANSWERED", 1 << 30)


@breaks("OP-5", test="tests/server/test_held_files.py::test_a_worker_is_replaced_while_the_files_are_broken[uvloop]")
def a_new_worker_reads_the_files_as_they_are_now() -> None:
    spawn = Supervisor._spawn

    def with_files_of_now(self: Supervisor, index: int) -> WorkerProcess:
        self._read_files()
        return spawn(self, index)

    swap(Supervisor, "_spawn", with_files_of_now)


@breaks("OP-5", test=f"{SUPERVISOR}::test_a_process_that_dies_again_and_again_is_replaced_later_each_time[uvloop]")
def a_crash_loop_keeps_the_machine_busy() -> None:
    swap(supervisor, "LONGEST_PAUSE", 0.0)


@breaks("TR-12", test=f"{SUPERVISOR}::test_what_is_taken_back_is_so_in_every_process_and_in_those_to_come[uvloop]")
def a_new_worker_knows_of_no_revocation() -> None:
    swap(Supervisor, "_remember", lambda self, entry, ends: None)


@breaks("OP-3", test=f"{SUPERVISOR}::test_nonces_of_a_process_are_good_in_the_one_that_takes_its_place[uvloop]")
def every_worker_makes_nonces_of_its_own() -> None:
    spawn = Supervisor._spawn

    def with_another_key(self: Supervisor, index: int) -> WorkerProcess:
        self._key = self._entropy.token(32)
        return spawn(self, index)

    swap(Supervisor, "_spawn", with_another_key)


@breaks("CR-4", "TQ-5", test=f"{LEDGER}::test_workers_count_together_as_one_would")
def every_worker_has_a_quota_of_its_own() -> None:
    tallies: dict[SharedTally, LocalTally] = {}
    swap(
        SharedTally,
        "enter",
        lambda self, key, *, per_key, total: tallies.setdefault(self, LocalTally()).enter(
            key, per_key=per_key, total=total
        ),
    )


@breaks("TQ-6", test=f"{SIBLINGS}::test_what_a_sibling_had_borrowed_comes_back_when_it_is_gone")
def what_a_dead_worker_had_borrowed_is_gone_with_it() -> None:
    swap(RelayPorts, "take_back_from", lambda self, borrower: None)
