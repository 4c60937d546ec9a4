//! A short tour of the product, on a desk: each step says what happens, makes it happen, and ends when it can be seen from
//! outside that it did. Nothing in here waits: whoever shows the tour looks again and again.

use std::fs;
use std::time::{Duration, Instant};

use stayput_canary::Searcher;
use stayput_harness::Leds;
use stayput_region::Cut;

use crate::{Account, Call, Depth, Desk, Door, Error, Plan, Result, door::PORT};

/// The file that is brought.
const NAME: &str = "invoice.csv";
/// Its result.
const RESULT: &str = "invoice.csv_has_been_processed";
/// What is in it, many times over: nobody outside the country may see a byte of it.
const LINE: &str = "Erika Mustermann;Heidestrasse 17;51147 Koeln\n";
/// How long the lights must be calm to count as calm.
const CALM: Duration = Duration::from_secs(10);

/// One step.
struct Step {
    says: &'static str,
    longest: Duration,
    begin: fn(&mut Tour) -> Result<()>,
    /// What was seen, once it is true.
    came: fn(&mut Tour) -> Result<Option<String>>,
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

fn nothing(_: &mut Tour) -> Result<()> {
    Ok(())
}

const STEPS: &[Step] = &[
    Step {
        says: "The box starts from its card and registers with the region",
        longest: minutes(10),
        begin: nothing,
        came: |tour| {
            let simulator = tour.desk.region().simulator();
            let instance = simulator.instances().first().map(|instance| instance.id.clone());
            Ok(instance.filter(|_| simulator.tally().tokens > 0).map(|id| format!("it is {id} now")))
        },
    },
    Step {
        says: "It asks the queue for orders",
        longest: minutes(5),
        begin: nothing,
        came: |tour| {
            let asks = tour.desk.region().recorder().search(b"AmazonSQS.ReceiveMessage");
            Ok((!asks.is_empty()).then(|| "it waits for one".to_owned()))
        },
    },
    Step {
        says: "A person brings a file through the SFTP door",
        longest: minutes(5),
        begin: |tour| {
            let path = tour.door.path(NAME);
            fs::write(&path, content()).map_err(Error::file("write", &path))
        },
        came: |tour| {
            // In vain until the box's door is open.
            let put = format!("put {NAME}\n");
            Ok(tour
                .call(Account::Drop, &put)?
                .then(|| format!("{NAME} is in the box, {} bytes", content().len())))
        },
    },
    Step {
        says: "The region sends an order for it",
        longest: minutes(3),
        begin: |tour| tour.desk.open()?.send([NAME]),
        came: |tour| {
            let done = tour.desk.open()?.depth()? == Depth::EMPTY;
            Ok(done.then(|| "the order is done and gone from the queue".to_owned()))
        },
    },
    Step {
        says: "Another person collects the result",
        longest: minutes(3),
        begin: nothing,
        came: |tour| {
            if !tour.call(Account::Collect, &format!("get {RESULT}\nrm {RESULT}\n"))? {
                return Ok(None);
            }
            let path = tour.door.path(RESULT);
            let fetched = fs::read(&path).map_err(Error::file("read", &path))?;
            if fetched != content() {
                return Err(Error::Call {
                    call: "sftp",
                    why: "the result is not the file that was brought".to_owned(),
                });
            }
            Ok(Some(format!("{RESULT}, the same {} bytes", fetched.len())))
        },
    },
    Step {
        says: "What the region has seen of the file's content is looked for in everything that it was sent",
        longest: minutes(1),
        begin: nothing,
        came: |tour| {
            let streams = tour.desk.region().recorder().streams();
            let bytes: usize = streams.iter().map(|stream| stream.up.len()).sum();
            let failed = |why| Error::Call { call: "search", why };
            // As the canary test does: eight bytes of it in a row, plain, encoded, packed or in pieces.
            let searcher = Searcher::new([LINE]).map_err(|error| failed(error.to_string()))?;
            match streams.iter().find_map(|stream| searcher.search(&stream.up)) {
                None => Ok(Some(format!("nothing of it in {bytes} bytes"))),
                Some(found) => Err(failed(format!("the content has left: {found:?}"))),
            }
        },
    },
    Step {
        says: "The lights are calm",
        longest: minutes(5),
        begin: nothing,
        came: |tour| Ok(tour.is_calm().then(|| "green alone".to_owned())),
    },
    Step {
        says: "The region is cut off",
        longest: minutes(5),
        begin: |tour| {
            tour.desk.region().cut(Cut::Refused);
            Ok(())
        },
        came: |tour| {
            let leds = tour.leds;
            let shown = [(leds.red, "red"), (leds.yellow, "yellow")].into_iter().find(|(lit, _)| *lit);
            Ok(shown.map(|(_, light)| format!("the {light} light says so")))
        },
    },
    Step {
        says: "And it is back",
        longest: minutes(10),
        begin: |tour| {
            tour.desk.region().cut(Cut::None);
            tour.answered_before = tour.answered();
            Ok(())
        },
        came: |tour| {
            let well = tour.answered() > tour.answered_before && tour.is_calm();
            Ok(well.then(|| "the box goes on by itself".to_owned()))
        },
    },
];

/// The tour, and the desk that it is about.
pub struct Tour {
    desk: Desk,
    door: Door,
    call: Option<Call>,
    /// The call that failed last, for a step that never comes true.
    said: String,
    leds: Leds,
    calm_since: Instant,
    answered_before: usize,
    step: usize,
    begun: Option<Instant>,
    /// When the next step begins.
    next: Instant,
    started: Instant,
    /// A step begins so long after the one before, so that a person can read.
    pace: Duration,
    lines: Vec<String>,
}

impl Tour {
    /// Starts a desk.
    pub fn start(mut plan: Plan, pace: Duration) -> Result<Self> {
        let door = Door::new(&plan.folder.join("door"))?;
        plan.door = Some(door.public().to_owned());
        plan.options.forwards = vec![PORT];
        let now = Instant::now();
        Ok(Self {
            desk: Desk::start(plan)?,
            door,
            call: None,
            said: String::new(),
            leds: Leds::DARK,
            calm_since: now,
            answered_before: 0,
            step: 0,
            begun: None,
            next: now,
            started: now,
            pace,
            lines: Vec::new(),
        })
    }

    /// The desk.
    pub fn desk(&mut self) -> &mut Desk {
        &mut self.desk
    }

    /// Everything that was said so far, a line for each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether every step has come true.
    pub fn is_over(&self) -> bool {
        self.step >= STEPS.len()
    }

    /// Looks at the desk and goes on where something has come true. `leds` is what the lights show now.
    pub fn look(&mut self, leds: Leds) -> Result<()> {
        self.leds = leds;
        if leds.red || leds.yellow {
            self.calm_since = Instant::now();
        }
        // Ready long before the box asks.
        self.desk.open()?;
        let Some(step) = STEPS.get(self.step) else { return Ok(()) };
        if Instant::now() < self.next {
            return Ok(());
        }
        let Some(begun) = self.begun else {
            self.say(&format!("{} …", step.says));
            self.begun = Some(Instant::now());
            return (step.begin)(self);
        };
        if let Some(seen) = (step.came)(self)? {
            self.say(&format!("  {seen}"));
            (self.step, self.begun) = (self.step + 1, None);
            self.next = Instant::now() + self.pace;
            return Ok(());
        }
        let longest = self.desk.patience().stretch(step.longest);
        if begun.elapsed() > longest {
            let seen = self.said.trim().to_owned();
            return Err(Error::Step { step: step.says, seconds: longest.as_secs(), seen });
        }
        Ok(())
    }

    fn say(&mut self, text: &str) {
        self.lines.push(format!("{:>4} s  {text}", self.started.elapsed().as_secs()));
    }

    /// A call at the door, made again until one succeeds.
    fn call(&mut self, account: Account, commands: &str) -> Result<bool> {
        let Some(call) = &mut self.call else {
            self.call = Some(self.door.call(account, commands)?);
            return Ok(false);
        };
        let Some(good) = call.ended()? else { return Ok(false) };
        self.said = call.said();
        self.call = None;
        Ok(good)
    }

    /// How often the box has asked for orders and was answered.
    fn answered(&self) -> usize {
        let exchanges = self.desk.region().recorder().exchanges();
        let is_one = |call: Option<&str>, status| call == Some("ReceiveMessage") && status == Some(200);
        exchanges.iter().filter(|exchange| is_one(exchange.call.as_deref(), exchange.status)).count()
    }

    fn is_calm(&self) -> bool {
        self.calm_since.elapsed() >= CALM
    }
}

fn content() -> Vec<u8> {
    LINE.repeat(400).into_bytes()
}
