//! The tree's own module lists, as the build puts them together.

use stayput_kmod::{BoardModules, ModuleTable};

use super::kernel::workspace;

pub const BOARDS: [&str; 2] = ["nanopi-neo2", "qemu-virt"];

pub fn table() -> ModuleTable {
    let path = workspace().join("image/modules.toml");
    ModuleTable::parse("image/modules.toml", &std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn boards() -> Vec<BoardModules> {
    BOARDS.iter().map(|name| board(name)).collect()
}

pub fn board(name: &str) -> BoardModules {
    let path = workspace().join("board").join(name).join("board.toml");
    let board: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let list = |key: &str| {
        let names = board["modules"].get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default();
        names.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    BoardModules { initramfs: list("initramfs"), root: list("root") }
}

pub fn initramfs() -> Vec<String> {
    let boards = boards();
    table().initramfs(&boards.iter().collect::<Vec<_>>())
}

pub fn root() -> Vec<String> {
    let boards = boards();
    table().root(&boards.iter().collect::<Vec<_>>())
}
