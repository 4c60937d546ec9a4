//! What all parts of the box share: the health file, state codes, board facts.
