"""The gate and the fuse, by themselves."""

from mailweir.chain.plug import Fuse, Gate, Plug


def test_gate_lets_so_many_in_and_the_rest_in_turn() -> None:
    gate = Gate(1)
    turns: list[str] = []
    gate.enter()
    assert not gate.open
    gate.line_up(lambda: turns.append("a"))
    gate.line_up(lambda: turns.append("b"))
    assert gate.waiting == 2
    gate.leave()
    assert turns == ["a"]
    gate.leave()
    assert turns == ["a", "b"]
    assert not gate.open
    gate.leave()
    assert gate.open


def test_gate_is_idle_when_nothing_runs() -> None:
    gate = Gate(2)
    assert gate.idle().called
    gate.enter()
    idle = gate.idle()
    assert not idle.called
    gate.leave()
    assert idle.called


def test_fuse_opens_after_so_many_in_a_row() -> None:
    fuse = Fuse(2, 30)
    assert not fuse.failed(0)
    assert not fuse.worked()
    assert not fuse.failed(1)
    assert not fuse.blown(1)
    assert fuse.failed(2)
    assert fuse.blown(2)
    assert fuse.blown(31.9)


def test_fuse_lets_one_through_in_each_pause() -> None:
    fuse = Fuse(1, 30)
    fuse.failed(0)
    assert not fuse.blown(30)
    assert fuse.blown(30)
    assert not fuse.failed(31)
    assert fuse.blown(59)
    assert not fuse.blown(60)
    assert fuse.worked()
    assert not fuse.blown(60)


def test_a_plug_has_a_fuse_a_hook_if_the_keeper_wants_one() -> None:
    assert Plug("p", object()).fuse("helo") is None
    plug = Plug("p", object(), breaker=1)
    assert plug.fuse("helo") is plug.fuse("helo")
    assert plug.fuse("helo") is not plug.fuse("sign")
