"""Source formats; one file per format, and the file's name is its scheme (`table:labels.csv`).

Every module offers
- a function with the module's own name, `(where, name) -> Source`: opens exactly `where`; `name` is how it is called;
- `splits(where) -> {split: where}`: the splits of a source, each with the text that opens it; empty where there are
  none. It is given a path, or for formats that lie at no path the options (`?size=64`) or nothing.

Formats that lie at a path also offer
- `recognises(path) -> bool`, so that they need no scheme;
- `PRECEDENCE`: formats with smaller numbers are asked first.
"""
