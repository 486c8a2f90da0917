"""Few pictures of one person, and a generator with styles: a generator of that person.

`base` is the generator, `inversion` finds the styles that draw given pictures, `tuning` teaches the
generator those that it can't draw, `person` keeps what was learned as a small file, `prior` draws
the person anew, `directions` are edits, `stickers` and `packs` draw for messengers.
"""
