//! The boards of an image: the one it is built for and those that it serves as well.

use anyhow::Context;
use stayput_health::board::Board;

use crate::exit::{Code, Fault};
use crate::tree::SourceTree;

/// A board with the files of its folder.
pub struct BoardFolder {
    /// What `board.toml` says.
    pub board: Board,
    /// `board.toml` itself, which the box reads too.
    pub text: Vec<u8>,
    /// `slot.cmd`, its part of the slot's boot script.
    pub slot_script: String,
    /// `loader.cmd`, its part of the loader partition's; most boards need none.
    pub loader_script: Option<String>,
    /// Its folder within the tree: `board/<name>`.
    pub folder: String,
}

/// The board `name`, followed by the boards it serves.
pub fn of_image(tree: &SourceTree, name: &str) -> anyhow::Result<Vec<BoardFolder>> {
    let main = load(tree, name)?;
    let served: Vec<String> = main.board.serves.iter().map(|name| name.to_string()).collect();
    let mut boards = vec![main];
    for name in served {
        boards.push(
            load(tree, &name)
                .with_context(|| format!("board/{}/board.toml serves it", boards[0].board.name))?,
        );
    }
    Ok(boards)
}

fn load(tree: &SourceTree, name: &str) -> anyhow::Result<BoardFolder> {
    let folder = format!("board/{name}");
    let path = tree.path(&folder).join("board.toml");
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if !plain || !path.is_file() {
        let known = known(tree).join(", ");
        return Err(Fault::new(Code::Usage, format!("no board '{name}'; there are: {known}")).into());
    }
    let text = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
    let board = Board::parse(&text, &format!("{folder}/board.toml"))
        .map_err(|error| Fault::new(Code::Usage, error.to_string()))?;
    let script = tree.path(&folder).join("slot.cmd");
    let slot_script =
        std::fs::read_to_string(&script).with_context(|| format!("could not read {}", script.display()))?;
    let script = tree.path(&folder).join("loader.cmd");
    let loader_script = match std::fs::read_to_string(&script) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("could not read {}", script.display())),
    };
    Ok(BoardFolder { board, text, slot_script, loader_script, folder })
}

/// The names of all boards of the tree.
fn known(tree: &SourceTree) -> Vec<String> {
    let folders = std::fs::read_dir(tree.path("board")).into_iter().flatten().flatten();
    let boards = folders.filter(|folder| folder.path().join("board.toml").is_file());
    let mut names: Vec<_> = boards.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
