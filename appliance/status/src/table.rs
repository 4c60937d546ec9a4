//! The table itself: one row for each code.
//!
//! A row: the code, how bad it is and what the lights do, `=>`, the screen's two lines, the sentence, what to do after the
//! group's first step. What stands in square brackets is said when the report has the detail that the row is `telling`.

use stayput_health::Code;

use crate::Severity::*;
use crate::group::Group::*;
use crate::rhythm::{Count, Rhythm, Rhythm::*};
use crate::row::Keeper::*;
use crate::row::{Detail::*, Row};

const THREE_LONG: Rhythm = Counted(Count::of(3, 0));

macro_rules! table {
    ($($code:ident: $light:expr => $verdict:literal, $screen:literal,
        $sentence:literal,
        $then:literal $(, telling $detail:expr)?;)+) => {
        /// The row of `code`. A code without a row does not compile.
        pub const fn row(code: Code) -> Row {
            match code {
                $(Code::$code => $light.saying($verdict, $screen, $sentence, $then)$(.telling($detail))?,)+
            }
        }
    };
}

// Faults and warnings: the group, and the number in it, which is counted. The others: a number that decides which of two
// is shown (the higher), the group, the lights green, yellow and red, and the one light of a box without others.
table! {
    // All is well.
    Running: Row::own(Good, 1, Well, [Steady, Dark, Dark], Steady) => "ALL IS WELL", "Ready for orders",
        "The box works and waits for orders.",
        "New orders and files are taken at any time.";
    Stopped: Row::own(Good, 0, Well, [Heartbeat, Dark, Dark], Steady) => "STOPPED", "Stopped on purpose",
        "All work was stopped on purpose.",
        "To start it again, switch the box off and on.";
    Working: Row::own(Good, 3, Well, [Steady, Heartbeat, Dark], Heartbeat) => "WORKING", "Orders under way",
        "The box is carrying out orders.",
        "The light is steady again when all are done.";
    Waiting: Row::own(Good, 2, Well, [Steady, Slow, Dark], Steady) => "WAITING", "Files due[: {}]",
        "Some orders[ ({})] wait for files that have not come yet.",
        "An order is carried out within seconds when its file arrives in the source folder.", telling Counter("waiting");

    // On its way.
    Booting: Row::own(Passing, 90, Coming, [Dark, Slow, Dark], Slow).kept_by(Kernel) => "BOOTING", "The system starts",
        "The kernel has started and the system is coming up.",
        "If it stays so, write the image to the card again; the files on it are kept.";
    Starting: Row::own(Passing, 80, Coming, [Slow, Slow, Dark], Slow) => "STARTING", "Parts are starting",
        "The box's programs are starting.",
        "If it stays so, switch the box off and on.";
    NetworkComing: Row::own(Passing, 70, Coming, [Dark, Heartbeat, Dark], Slow) => "NETWORK", "Waits for an address",
        "The cable is in, and the box waits for an address.",
        "If it stays so, the box says what is missing.";
    ClockComing: Row::own(Passing, 60, Coming, [Slow, Heartbeat, Dark], Slow) => "CLOCK", "Being set by network",
        "The box is asking for the time.",
        "If it stays so, the box says what is missing.";
    Activating: Row::own(Passing, 50, Coming, [Slow, Steady, Dark], Slow) => "ACTIVATING", "Registers the box",
        "The box is registering with the region.",
        "Do not switch it off meanwhile: a registration cut short can use up the activation.";
    Registered: Row::own(Passing, 40, Coming, [Slow, Dark, Dark], Slow) => "REGISTERED", "Work starts soon",
        "The box is registered, and its work is about to start.",
        "If it stays so, switch the box off and on.";
    AgentComing: Row::own(Passing, 30, Coming, [Heartbeat, Slow, Dark], Slow) => "JOINING", "Joins the cluster",
        "The agent is joining the cluster.",
        "If it stays so, the box says what is missing.";
    UpdateTrial: Row::own(Passing, 20, Coming, [Fast, Steady, Dark], Slow) => "NEW VERSION", "It is being tried",
        "A new version runs for the first time and is being tried.",
        "If it fails, the box goes back to the old version by itself.";
    PreparingCard: Row::own(Passing, 100, LeaveOn, [Dark, Fast, Dark], Fast) => "NEW CARD", "Leave the power on",
        "The card is being made ready for its first use.",
        "This happens once and takes a minute or two.";
    Updating: Row::own(Passing, 10, LeaveOn, [Steady, Fast, Dark], Fast) => "UPDATING", "Leave the power on",
        "A new version is being written beside the running one.",
        "Work goes on meanwhile.";

    // What the box shows when no part can speak.
    StatusDark: Row::own(Fault, 2, Unlit, [Dark, Dark, Dark], Dark).kept_by(Level) => "NO STATUS", "Status part is off",
        "Nothing drives the status lights: the box is not up yet, or its status part is dead.",
        "Then switch on again; if it stays dark, write the image to the card again.";
    KernelPanic: Row::own(Fault, 1, LeaveOn, [Dark, Dark, Fast], Fast).kept_by(Kernel) => "PANIC", "Restarts by itself",
        "The kernel has stopped; the box restarts by itself within a minute.",
        "If it happens again and again, put in another card.";

    // Asked for.
    LampTest: Row::own(Command, 1, Well, [Steady, Steady, Steady], Steady) => "LAMP TEST", "All lights are on",
        "Every light is on for two seconds, so that a dead one is noticed.",
        "A light that stays dark now is broken or not wired.";
    Locate: Row::own(Command, 2, Shown, [THREE_LONG, THREE_LONG, THREE_LONG], THREE_LONG) => "HERE I AM", "This box was asked",
        "Someone asked this box to show which one it is.",
        "It stops by itself.";
    ShuttingDown: Row::own(Command, 3, LeaveOn, [Fast, Fast, Dark], Fast) => "SHUTTING OFF", "Leave the power on",
        "The box is shutting down.",
        "When the light is dark, or only yellow is lit, the power may be taken away.";
    SafeToUnplug: Row::own(Command, 4, Unlit, [Dark, Steady, Dark], Dark).kept_by(Level) => "UNPLUG NOW", "The box is shut down",
        "The box has shut down; the power may be taken away.",
        "To start the box again, give it power.";

    // The card does not start.
    BootDevices: Row::fault(Start, 1) => "NO START", "No kernel systems",
        "The kernel's own file systems could not be mounted.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    BootArguments: Row::fault(Start, 3) => "NO START", "Boot arguments wrong",
        "The boot arguments are missing or wrong.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    BootDisk: Row::fault(Start, 4) => "NO CARD", "Card not found",
        "The disk that carries this image was not found.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    BootRoot: Row::fault(Start, 5) => "NO START", "Root is damaged",
        "The root file system could not be mounted.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    BootHandOver: Row::fault(Start, 6) => "NO START", "System did not start",
        "The system on the root file system could not be started.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    BootVerity: Row::fault(Start, 7) => "NO START", "Root is not checked",
        "The root file system could not be put under the kernel's checks.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";

    // 1: settings on the card.
    ConfigMissing: Row::fault(Settings, 1) => "NO SETTINGS", "stayput.toml missing",
        "There is no stayput.toml on the card's drive STAYPUT.",
        "Put the file there (an example lies beside it), then switch the box on.";
    ConfigWrong: Row::fault(Settings, 2) => "BAD SETTINGS", "stayput.toml[:{}]",
        "stayput.toml has a mistake[ in line {}].",
        "Correct the line that is named here, or check the file on the PC with: stayput config check", telling Counter("line");
    ConfigUnreadable: Row::fault(Settings, 3) => "BAD SETTINGS", "Cannot read the file",
        "stayput.toml is there and cannot be read as text.",
        "Save it as plain text (UTF-8); if the PC cannot open it either, write the image to the card again.";
    ConfigIgnored: Row::warning(Settings, 1) => "OLD SETTINGS", "stayput.toml[:{}]",
        "The changed stayput.toml has a mistake[ in line {}], so the last good one stays in force.",
        "Correct the line that is named here, or check the file on the PC with: stayput config check", telling Counter("line");
    PlainHttp: Row::warning(Settings, 2) => "NOT SECRET", "Plain HTTP is allowed",
        "stayput.toml allows endpoints without encryption.",
        "Take out the line that allows it, unless this is a test.";
    SecretLeft: Row::warning(Settings, 3) => "CODE ON CARD", "Wipe activation code",
        "The activation code could not be wiped off the card.",
        "Delete the activation code from the file by hand.";
    ConfigKept: Row::warning(Settings, 4) => "OLD SETTINGS", "File gone or spoilt",
        "stayput.toml is gone from the card or cannot be read, so the last good one stays in force.",
        "Put the file there again, saved as plain text (UTF-8), then switch the box on.";

    // 2: cable and router.
    NoLink: Row::fault(Cable, 1) => "NO CABLE", "Network cable is out",
        "The network cable is not connected, or the other end is off.",
        "Try another cable and another socket of the router.";
    NoDhcp: Row::fault(Cable, 2) => "NO ADDRESS", "Router gives none",
        "The network gave the box no address (DHCP).",
        "Switch DHCP on in the router, or write a fixed address into stayput.toml.";
    NoDns: Row::fault(Cable, 3) => "NO NAMES", "DNS does not answer",
        "The network does not answer questions for names (DNS).",
        "Restart the router, or write a DNS server into stayput.toml.";

    // 3: the way to the region.
    ClockUnset: Row::fault(Way, 1) => "CLOCK UNSET", "Nobody told the time",
        "The clock could not be set: neither the region nor a time server answered.",
        "They must let NTP (UDP 123) or HTTPS (TCP 443) pass; a time server can be named in stayput.toml.";
    ClockRefused: Row::fault(Way, 2) => "CLOCK WRONG", "Region sees it wrong",
        "The region refuses calls because the box's clock is wrong.",
        "The time server of the network tells a wrong time; name another one in stayput.toml.";
    TlsIntercepted: Row::fault(Way, 3) => "INTERCEPTED", "TLS opened on the way",
        "Something between the box and the region opens the encryption.",
        "They must exempt this box from inspection, or its certificate must stand in stayput.toml.";
    RegionUnreachable: Row::fault(Way, 4) => "NO REGION", "Region not answering",
        "The region does not answer.",
        "They must let HTTPS (TCP 443) to the region pass. Orders wait there meanwhile, for as long as the queue keeps them.";
    ProxyRefused: Row::fault(Way, 5) => "NO PROXY", "Proxy refuses the box",
        "The proxy does not let the box through.",
        "Compare the proxy, its user and its password in stayput.toml with what they say.";
    CredentialsLate: Row::warning(Way, 1) => "RENEWAL LATE", "Credentials run out",
        "The credentials could not be renewed so far and still hold for a while.",
        "When the region answers again, the box renews them by itself.";

    // 4: activation.
    ActivationExpired: Row::fault(Activation, 1) => "ACT. EXPIRED", "Get a new activation",
        "The activation has expired.",
        "Write its id and code into stayput.toml and switch on before it expires.";
    ActivationWrong: Row::fault(Activation, 2) => "WRONG CODE", "Activation not known",
        "The region does not know this activation: its id, its code or the region is wrong.",
        "Or compare id, code and region in stayput.toml with the one you have, letter by letter.";
    ActivationUsedUp: Row::fault(Activation, 3) => "CODE USED UP", "Get a new activation",
        "The activation has been used by as many machines as it allows.",
        "Write its id and code into stayput.toml; each box needs one use.";
    ActivationUnclear: Row::fault(Activation, 4) => "ACT. UNCLEAR", "The answer was lost",
        "The registration was sent and its answer was lost; trying again could use the activation twice.",
        "Write its id and code into stayput.toml, and have the unfinished registration removed.";
    IdentityOther: Row::fault(Activation, 5) => "OTHER BOARD", "Card of another box",
        "The card's identity belongs to another board, and two boxes must not share one.",
        "Write its id and code into stayput.toml, or put the card back into its own box.";
    IdentityRefused: Row::fault(Activation, 6) => "ID REFUSED", "Region drops the box",
        "The region does not accept this box's identity any more.",
        "Write its id and code into stayput.toml if the box was removed there on purpose or by mistake.";

    // 5: the region's side.
    AgentLost: Row::fault(Region, 1) => "AGENT LOST", "Cluster not connected",
        "The agent has lost its connection to the cluster.",
        "The agent goes on trying by itself.";
    ClusterRefused: Row::fault(Region, 2) => "NO CLUSTER", "Cluster refuses box",
        "The cluster is missing or does not take the box.",
        "Cluster name in stayput.toml, the cluster and the box's role must fit.";
    QueueRefused: Row::fault(Region, 3) => "NO QUEUE", "Not there or refused",
        "The queue or the bucket is missing, or the box's role may not use it.",
        "Queue address in stayput.toml, the queue and the box's role must fit.";
    Parked: Row::warning(Region, 1) => "SET ASIDE", "Bad orders[: {}]",
        "Some orders[ ({})] were set aside because they cannot be carried out as they are.",
        "The queue's dead-letter queue holds them.", telling Counter("parked");
    QueueRules: Row::warning(Region, 2) => "QUEUE RULES", "Orders could be lost",
        "The queue's rules could lose orders: no dead-letter queue, too few tries or too short a keep.",
        "What exactly is listed by: stayput-worker check";
    WeakSeparation: Row::warning(Region, 3) => "LESS APART", "Weaker separation",
        "Network and files are handled in one container instead of two, which protects less.",
        "The task should run courier and mover as two containers, the mover without network.";

    // 6: card and files.
    DiskFull: Row::fault(Files, 1) => "DISK FULL", "Collect the results",
        "The room for files is used up down to the reserve, so no new order is taken.",
        "When there is room, the box goes on by itself. Orders wait in the region meanwhile.";
    StorageFault: Row::fault(Files, 2) => "CARD FAULT", "Cannot read or write",
        "The card refused to read or write, and the work was stopped to protect the files.",
        "Then put in a new card; do not write to the old one.";
    StateVolatile: Row::fault(Files, 3) => "STATE LOST", "Kept in memory only",
        "The card's own records cannot be kept, so the box forgets them when it is switched off.",
        "Then put in a new card with a new activation.";
    DataMissing: Row::fault(Files, 4) => "NO FILES", "Unusable[: {}]",
        "The part of the card that holds the files cannot be used for writing[ ({})].",
        "If it says checking, leave the power on for an hour, then restart. Else put in a new card.", telling Fact("data");
    DataUnrecognised: Row::fault(Files, 7) => "NOT OURS", "Files place is taken",
        "Where the files belong is something that this box has not made, and it is left alone.",
        "Save what is needed of it on a PC, fill the card with zeros, and write the image anew.";
    PersistFailed: Row::fault(Files, 5) => "STATE FAULT", "A folder is not kept",
        "A folder that must be kept could not be put in its place.",
        "Then switch the box off and on; if it stays so, put in a new card.";
    MachineIdVolatile: Row::fault(Files, 6) => "NO FIXED ID", "It is new each time",
        "The machine's own number could not be kept and is new each time.",
        "Then put in a new card with a new activation.";
    DiskFilling: Row::warning(Files, 1) => "DISK FILLING", "Room short[: {}%]",
        "The room for files is running short[: {} percent are used].",
        "When the room is used up, no new order is taken.", telling Counter("used-percent");
    CardWorn: Row::warning(Files, 2) => "CARD WORN", "Get a new card soon",
        "The card is near the end of its life.",
        "Then put in a new card at the next good moment.";
    Conflict: Row::warning(Files, 3) => "SAME NAME", "Both kept[: {}]",
        "Some files[ ({})] were not moved because a result of the same name is there already; both were kept.",
        "When the older result is gone, the order is carried out.", telling Counter("conflict");
    StateRepaired: Row::warning(Files, 4) => "REPAIRED", "Card was damaged",
        "The card's own records were damaged and have been repaired.",
        "If it happens again without a power cut, put in a new card.";
    MachineIdReplaced: Row::warning(Files, 5) => "NEW NUMBER", "Machine id replaced",
        "The machine's own number was lost and has been replaced by a new one.",
        "If the region does not know the box any more, it needs a new activation.";
    CardUnchecked: Row::warning(Files, 6) => "NOT CHECKED", "Card check not made",
        "The card's file systems could not all be checked, and are used all the same.",
        "Then switch the box off and on; if it stays so, put in a new card.";
    DataRepaired: Row::warning(Files, 7) => "REPAIRED", "Files were damaged",
        "The part of the card that holds the files was damaged and has been repaired.",
        "Compare them with what was sent. If it happens again without a power cut, put in a new card.";

    // 7: the box's programs.
    PartFailed: Row::fault(Programs, 1) => "PART FAILED", "See STATUS.txt",
        "A part of the box cannot work.",
        "If the same light comes back, send STATUS.txt to whoever made the card.";
    PartDead: Row::fault(Programs, 2) => "PART DEAD", "It is restarted",
        "A part of the box has ended or hangs, and is being restarted.",
        "If the same light comes back, send STATUS.txt to whoever made the card.";
    InternalFault: Row::fault(Programs, 3) => "OUR FAULT", "Internal fault",
        "A part of the box met something that should be impossible.",
        "Send STATUS.txt to whoever made the card: this is a mistake in its programs.";
    EngineFault: Row::fault(Programs, 4) => "NO ENGINE", "Containers are off",
        "The container engine does not work.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    PartDegraded: Row::warning(Programs, 1) => "PART LIMPS", "See STATUS.txt",
        "A part of the box works with less than it should have.",
        "If the same light comes back, send STATUS.txt to whoever made the card.";
    BootModules: Row::warning(Programs, 2) => "DRIVER FAULT", "A module is missing",
        "A kernel module could not be loaded, so some hardware may not work.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    OtherSlot: Row::warning(Programs, 3) => "SPARE SYSTEM", "Other slot[: {}]",
        "The usual system did not start[ ({})], and the box runs its other one.",
        "If the same light comes back, write the image to the card again; the files on it are kept.", telling Fact("why");
    StateFull: Row::warning(Programs, 6) => "RECORDS FULL", "No room for records",
        "The box's own records had no room left when it started; the files are not touched by that.",
        "If the same light comes back, send STATUS.txt to whoever made the card.";
    DataNotGrown: Row::warning(Programs, 7) => "SMALL ROOM", "Card not used fully",
        "The room for files does not reach to the end of the card; the box works with less.",
        "If the same light comes back, write the image to the card again; the files on it are kept.";
    UpdateFailed: Row::warning(Programs, 4) => "NOT UPDATED", "Old version goes on",
        "The new version was not taken, and the old one goes on working.",
        "It tries again with the next version; this one was bad or arrived damaged.";
    SameDiskTwice: Row::warning(Programs, 5) => "TWO CARDS", "Remove one of them",
        "Two disks carry this image, and one of them was chosen.",
        "Take the second one out while it is off.";
}
