"""A pickle read by its opcodes: nothing it names is imported or run, and it can't fill the memory.

Of what a pickle can say only this is read: numbers, text, bytes, lists, tuples, dictionaries, and
the names of classes and functions with what they are called with. What a call gives is up to a
table of the reader's; to the pickle it is a name. Python's own unpickler, even with its
`find_class` restricted, lets a file ask for a memo of any size, for hashes and texts of structures
that unfold without end, and for changes to whatever it was given.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import BinaryIO, NamedTuple

from gan_jax.runtime.text import shown

MOST = 1_000_000  # opcodes of one file; a large network with its optimizer's state has 200 000
LONGEST = 300  # characters of a name in a file
_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE",
    "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """The file holds what no file of weights needs to hold."""


class Named(NamedTuple):
    """A class or function that the file names, and no more than its name."""

    module: str
    name: str


class Record:
    """What a file says of an object, which is not made: its class's name and its attributes."""

    def __init__(self, kind: str):
        self.kind, self.state = kind, {}

    def change(self, state) -> None:
        """Takes what the file says of the object after it is made."""
        self.state = state if type(state) is dict else {}


class Unpickler:
    """Reads the pickles of one file, which may have MOST opcodes in all.

    Args:
        known: what the file may name -> what a call of it gives, from the call's arguments; None:
            it is never called.
        reads: in words, what is read, for errors.
    """

    def __init__(self, known: Mapping[tuple[str, str], Callable | None], reads: str):
        self.known, self.reads, self.left = known, reads, MOST

    def load(self, file: BinaryIO, persistent: Callable[[object], object]) -> object:
        """The next pickle of `file`, which must be in memory: a length that it states is believed
        to the file's end.

        persistent: what stands for an object that is kept outside the pickle, from what the pickle
            says of it.
        Raises:
            Refused: it names, changes or asks for something that no file of weights does.
            ValueError, LookupError, TypeError: it is no pickle, or damaged.
        """
        stack, marks, memo = [], [], {}

        def marked() -> list:
            """What was put on the stack since the last mark, taken from it."""
            place = marks.pop()
            items = stack[place:]
            del stack[place:]
            return items

        for opcode, argument, _ in pickletools.genops(file):
            self.left -= 1
            if self.left < 0:
                raise Refused(f"it has more than {MOST:,} opcodes, far more than any network.")
            match opcode.name:
                case name if name in _VALUES:
                    if type(argument) is int and argument.bit_length() > 128:
                        raise Refused(
                            f"it has a number of {argument.bit_length():,} bits. Refused; nothing"
                            " was run."
                        )
                    stack.append(argument)
                case name if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name])
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINPUT" | "LONG_BINPUT" | "PUT":
                    memo[_index(argument)] = stack[-1]
                case "BINGET" | "LONG_BINGET" | "GET":
                    stack.append(memo[_index(argument)])
                case "MARK":
                    marks.append(len(stack))
                case "POP" if marks[-1:] == [len(stack)]:
                    marks.pop()
                case "POP":
                    stack.pop()
                case "POP_MARK":
                    marked()
                case "TUPLE":
                    stack.append(tuple(marked()))
                case name if name in _TUPLES:
                    stack[-_TUPLES[name] :] = [tuple(stack[-_TUPLES[name] :])]
                case "EMPTY_LIST":
                    stack.append([])
                case "LIST":
                    stack.append(marked())
                case "APPEND":
                    item = stack.pop()
                    the(list, stack[-1]).append(item)
                case "APPENDS":
                    items = marked()
                    the(list, stack[-1]).extend(items)
                case "EMPTY_SET" | "EMPTY_DICT":
                    stack.append({})
                case "ADDITEMS":
                    items = marked()
                    the(dict, stack[-1]).update(set_of(items))
                case "FROZENSET":
                    stack.append(set_of(marked()))
                case "DICT":
                    items = marked()
                    stack.append({})
                    _put(stack[-1], items)
                case "SETITEM":
                    items = [stack.pop(-2), stack.pop()]
                    _put(the(dict, stack[-1]), items)
                case "SETITEMS":
                    items = marked()
                    _put(the(dict, stack[-1]), items)
                case "GLOBAL":
                    stack.append(self._named(*argument.split(" ", 1)))
                case "STACK_GLOBAL":
                    name, module = stack.pop(), stack.pop()
                    stack.append(self._named(the(str, module), the(str, name)))
                case "REDUCE" | "NEWOBJ":
                    arguments, function = the(tuple, stack.pop()), the(Named, stack.pop())
                    stack.append(self._called(function, arguments))
                case "BUILD":
                    state = stack.pop()
                    _changed(stack[-1], state)
                case "BINPERSID":
                    stack.append(persistent(stack.pop()))
                case "PROTO" | "FRAME" | "STOP":
                    pass
                case name:
                    raise Refused(
                        f"it has the opcode {name}, which no file of weights needs. Refused;"
                        " nothing was run."
                    )
        if len(stack) != 1:
            raise ValueError(f"{len(stack)} things are left of it in the end, not one")
        return stack[0]

    def _named(self, module: str, name: str) -> Named:
        if (module, name) not in self.known:
            what = shown(f"{module}.{name}")
            raise Refused(
                f"it asks for {what}; only {self.reads} are read. Refused; nothing was run."
            )
        return Named(module, name)

    def _called(self, function: Named, arguments: tuple):
        call = self.known[function]
        if call is None:
            raise Refused(
                f"it calls {'.'.join(function)}, which no file of weights does. Refused; nothing"
                " was run."
            )
        # it goes through them
        self.left -= len(arguments) + sum(len(x) for x in arguments if type(x) in (list, tuple))
        return call(*arguments)


def key(value) -> str | int:
    """A dictionary's key: a name or a small number, as state dicts have.

    Raises Refused for any other: hashing it could take for ever.
    """
    if (type(value) is str and len(value) <= LONGEST) or (
        type(value) in (int, bool) and 0 <= value < 2**32
    ):
        return value
    what = f"of type {type(value).__name__}"
    if type(value) is str:
        what = f"a text of {len(value):,} characters"
    raise Refused(f"a name in one of its dictionaries is {what}. Refused; nothing was run.")


def set_of(items: list) -> dict:
    """What stands for a set: a dictionary of its items, which must be names, in a list: the calls
    of a pickle go through lists and tuples only, whose lengths are counted."""
    return {key(item): None for item in the(list, items)}


def _index(argument: int) -> int:
    if not 0 <= argument < MOST:
        raise Refused(f"it has a memo of more than {MOST:,} entries, far more than any network's.")
    return argument


def the(kind: type, value):
    """`value`, which must be of that very type; raises ValueError."""
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} stands where a {kind.__name__} belongs")
    return value


def _put(found: dict, items: list) -> None:
    for name, value in zip(items[::2], items[1::2], strict=True):
        found[key(name)] = value


def _changed(made, state) -> None:
    """A record gets its attributes; those of a dictionary (the versions in a state dict) do not."""
    if isinstance(made, Record):
        made.change(state)
    elif type(made) is not dict:
        what = ".".join(made) if type(made) is Named else f"a {type(made).__name__.lower()}"
        raise Refused(f"it changes {what} after the fact. Refused; nothing was run.")
