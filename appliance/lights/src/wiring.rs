//! Which lights this box has, and through what each is reached. Pure.

use stayput_config::LedWire;
use stayput_health::Board;
use stayput_health::board::LedRole;

/// One light of the box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    /// Its name: in the log, and in the kernel's LED class where it is there.
    pub name: String,
    /// What it tells.
    pub role: LedRole,
    /// How it is reached.
    pub via: Via,
}

/// How a light is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// The kernel's LED class: the device tree names it.
    Class,
    /// A line of a GPIO chip, unless the kernel's LED driver has it.
    Line(Line),
}

/// A line of a GPIO chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The chip's label: numbers change from kernel to kernel.
    pub chip: String,
    /// The line on it.
    pub line: u32,
    /// Whether the light is lit when the line is low.
    pub active_low: bool,
    /// Whether the line only pulls down.
    pub open_drain: bool,
}

/// The lights that are driven: those soldered to the board, and beside them the ones that the configuration wires, or, where
/// it wires none, the board's proposal for a hat. The power light is nobody's: it stays as the kernel lit it.
pub fn lights(board: Option<&Board>, own: &[LedWire]) -> Vec<Wire> {
    let of_board = board.into_iter().flat_map(|board| &board.leds);
    let of_board = of_board.filter(|led| led.builtin || own.is_empty());
    let of_board = of_board.map(|led| Wire { name: led.name.clone(), role: led.role, via: Via::Class });
    let of_config = own.iter().map(|led| {
        let via = Via::Line(Line {
            chip: led.chip.to_string(),
            line: led.line,
            active_low: led.active_low,
            open_drain: led.open_drain,
        });
        Wire { name: led.name.to_string(), role: led.role, via }
    });
    of_board.chain(of_config).filter(|wire| wire.role != LedRole::Power).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn board(name: &str) -> Board {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../board").join(name).join("board.toml");
        Board::load(&path).unwrap()
    }

    fn own(leds: &str) -> Vec<LedWire> {
        let text = format!(
            "version = 1\n[device]\nname = \"box\"\n[activation]\nregion = \"eu-central-1\"\n\
             id = \"01234567-89ab-cdef-0123-456789abcdef\"\ncode = \"EXAMPLE/CodeOf20Char\"\n\
             [ecs]\ncluster = \"c\"\n{leds}"
        );
        stayput_config::read(text.as_bytes(), "stayput.toml").unwrap().config.status.leds
    }

    fn names(wires: &[Wire]) -> Vec<&str> {
        wires.iter().map(|wire| wire.name.as_str()).collect()
    }

    #[test]
    fn without_wires_of_ones_own_the_boards_proposal_is_driven_and_its_power_light_is_left_alone() {
        let wires = lights(Some(&board("nanopi-neo2")), &[]);
        assert_eq!(names(&wires), ["nanopi:blue:status", "status:green", "status:yellow", "status:red"]);
        assert!(wires.iter().all(|wire| wire.via == Via::Class));
    }

    #[test]
    fn wires_of_ones_own_stand_beside_the_light_on_the_board_and_in_place_of_the_hats() {
        let own =
            own("[[status.led]]\nname = \"door\"\nrole = \"fault\"\nchip = \"1c20800.pinctrl\"\nline = 7\n\
                       active_low = true\n");
        let wires = lights(Some(&board("nanopi-neo2")), &own);
        assert_eq!(names(&wires), ["nanopi:blue:status", "door"]);
        let line = Line { chip: "1c20800.pinctrl".into(), line: 7, active_low: true, open_drain: false };
        assert_eq!(wires[1], Wire { name: "door".into(), role: LedRole::Fault, via: Via::Line(line) });
    }

    #[test]
    fn a_box_whose_board_nobody_knows_has_the_lights_that_were_wired() {
        assert!(lights(None, &[]).is_empty());
        let own = own("[[status.led]]\nname = \"a\"\nrole = \"status\"\nchip = \"x\"\nline = 1\n");
        assert_eq!(names(&lights(None, &own)), ["a"]);
    }

    #[test]
    fn a_power_light_of_ones_own_is_not_driven_either() {
        let own = own("[[status.led]]\nname = \"a\"\nrole = \"power\"\nchip = \"x\"\nline = 1\n");
        assert!(lights(None, &own).is_empty());
    }
}
