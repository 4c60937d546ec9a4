//! The compiler of what runs on the box: pinned rustc, locked C compiler, marked fallback.
