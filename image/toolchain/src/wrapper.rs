//! The small programs that start an unpacked compiler with its own dynamic loader and libraries.
//!
//! So nothing of the machine's C library, compiler or linker takes part, whatever distribution it runs. A script
//! finds its tree from its own path: an unpacked set can be moved.

/// Where the loader and the libraries of the unpacked programs lie, below `usr/`.
const LIBRARIES: &str = "lib/x86_64-linux-gnu";

/// The gcc of the locked set: its version is part of every path in it.
pub(crate) const GCC: &str = "bin/aarch64-linux-gnu-gcc-14";
const GCC_LIBEXEC: &str = "libexec/gcc-cross/aarch64-linux-gnu/14";
const GCC_HEADERS: &str = "lib/gcc-cross/aarch64-linux-gnu/14/include";

/// The C library's headers that agree with the pinned target: rustc brings the library, this set the headers.
pub(crate) const MUSL_HEADERS: &str = "include/aarch64-linux-musl";

/// `linux/` and `asm/`; where the distribution's C library lies beside them, its headers come after musl's.
const KERNEL_HEADERS: &str = "aarch64-linux-gnu/include";

/// A script in the unpacked set's `bin/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrapper {
    pub name: &'static str,
    pub text: String,
}

/// Starts `program` (below `usr/`) by the loader beside it; `more` are words of shell put before the arguments.
fn start(name: &'static str, program: &str, more: &str) -> Wrapper {
    let text = format!(
        "#!/bin/sh\n\
         here=${{0%/*}}\n\
         usr=$here/../root/usr\n\
         unset GCC_EXEC_PREFIX CPATH C_INCLUDE_PATH LIBRARY_PATH LD_LIBRARY_PATH LD_PRELOAD\n\
         exec \"$usr/{LIBRARIES}/ld-linux-x86-64.so.2\" --inhibit-cache --library-path \"$usr/{LIBRARIES}\" \
         --argv0 \"$usr/{program}\" \"$usr/{program}\" {more}\"$@\"\n"
    );
    Wrapper { name, text }
}

/// The C compiler: `cc` for the pinned target, `gcc` for the distribution's C library, and what they call.
pub(crate) fn compiler() -> Vec<Wrapper> {
    // `-B` makes gcc find the scripts here before the bare programs, which would want the machine's loader.
    let find = "-B\"$here/\" --sysroot=\"$usr/..\" -ffile-prefix-map=\"$usr\"=/usr ";
    let musl = format!(
        "{find}-nostdinc -isystem \"$usr/{MUSL_HEADERS}\" -isystem \"$usr/{GCC_HEADERS}\" \
         -idirafter \"$usr/{KERNEL_HEADERS}\" "
    );
    vec![
        start("cc", GCC, &musl),
        start("gcc", GCC, find),
        start("cc1", &format!("{GCC_LIBEXEC}/cc1"), ""),
        start("collect2", &format!("{GCC_LIBEXEC}/collect2"), ""),
        start("as", "bin/aarch64-linux-gnu-as", ""),
        start("ld", "bin/aarch64-linux-gnu-ld", ""),
        start("ar", "bin/aarch64-linux-gnu-ar", ""),
        start("ranlib", "bin/aarch64-linux-gnu-ranlib", ""),
        // Without this a crate with C++ in it would pick up whatever cross compiler the machine happens to have.
        Wrapper {
            name: "c++",
            text: "#!/bin/sh\necho 'the locked compiler has no C++: add g++-14-aarch64-linux-gnu to the feature \
                   compiler of image/packages.toml, or choose a crate without C++' >&2\nexit 1\n"
                .to_owned(),
        },
    ]
}

/// The distribution's rustc; it finds its standard library from its own path.
pub(crate) fn rustc() -> Vec<Wrapper> {
    let mut wrappers = compiler();
    wrappers.push(start("rustc", "bin/rustc", ""));
    wrappers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::process::Command;

    /// A stand-in for the loader that prints what it was asked to start.
    fn set_in(dir: &std::path::Path, wrapper: &Wrapper) -> std::path::PathBuf {
        let loader = dir.join("root/usr").join(LIBRARIES).join("ld-linux-x86-64.so.2");
        fixture::script(
            &loader,
            "#!/bin/sh\necho \"preload=$LD_PRELOAD cpath=$CPATH\"\nprintf '%s\\n' \"$@\"\n",
        );
        let script = dir.join("bin").join(wrapper.name);
        fixture::script(&script, &wrapper.text);
        script
    }

    #[test]
    fn a_program_is_started_by_its_own_loader_even_below_a_path_with_a_space() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a b");
        let script = set_in(&home, &compiler()[0]);
        let done =
            Command::new(&script).args(["-c", "two words.c"]).env("CPATH", "/usr/include").output().unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[0], "preload= cpath=");
        assert!(lines.contains(&"two words.c"), "{said}");
        let program = format!("{}/bin/../root/usr/{GCC}", home.display());
        assert_eq!(lines.iter().filter(|line| **line == program).count(), 2, "{said}");
        assert!(lines.contains(&format!("-B{}/bin/", home.display()).as_str()), "{said}");
    }

    #[test]
    fn a_crate_that_wants_c_plus_plus_is_told_what_to_do() {
        let refusal = compiler().into_iter().find(|w| w.name == "c++").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let done = Command::new(set_in(dir.path(), &refusal)).output().unwrap();
        assert!(!done.status.success());
        assert!(String::from_utf8_lossy(&done.stderr).contains("image/packages.toml"));
    }
}
