//! A slice of the runs that `examples/hammer.rs` makes by the million: the readers of protocol and log, fed with what nobody honest wrote.

#[allow(dead_code, reason = "its main is the example's")]
#[path = "../examples/hammer.rs"]
mod hammer;

#[test]
fn neither_reader_panics_or_takes_what_its_writer_would_not_write() {
    hammer::hammer(100_000, 0x5eed);
}
