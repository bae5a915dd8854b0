//! What a decision costs, and what a binding weighs. `cargo xtask bench scale` runs this and judges it; it asserts nothing about time.
//!
//! Prints one JSON object a line: `{"case", "workers", "queued", "ns"}`, and `{"binding_bytes"}`.

use std::hint::black_box;

use super::*;

const WORKERS: [usize; 3] = [1, 16, 256];
const QUEUED: [usize; 3] = [0, 1_000, 100_000];
/// Interleaved: each round measures everything once, so that all meet the same weather.
const ROUNDS: usize = 7;
/// One measurement is so many slices, after as many again that warm the caches. Its median does not see those in which somebody
/// else had the processor.
const SLICES: usize = 40;
/// Of one slice.
const DECISIONS: usize = 500;
const SESSIONS: u64 = 1_000;
const BINDINGS: u64 = 10_000;

/// About as large as a call of the pool.
type Load = [u64; 16];

/// What one measurement does over and over.
#[derive(Clone, Copy)]
enum Case {
    /// Half of the workers are free: a call comes and has one at once, another one is answered.
    Direct,
    /// A call comes and waits, a worker answers another one, and gets the one whose turn it is. The calls are of this kind.
    Queued(fn(u64) -> Wants),
    /// A call that waits is given up, and another one comes: the oldest, or any.
    Withdrawn { is_oldest: bool },
}

const CASES: [(&str, Case); 9] = [
    ("workers are free", Case::Direct),
    ("waits its turn", Case::Queued(plain)),
    ("three priorities", Case::Queued(prioritized)),
    ("16 tenants", Case::Queued(tenanted)),
    ("10 000 tenants", Case::Queued(thronged)),
    ("1000 sessions, hint", Case::Queued(hinting)),
    ("1000 sessions, strict", Case::Queued(strict)),
    ("given up, the oldest", Case::Withdrawn { is_oldest: true }),
    ("given up, any", Case::Withdrawn { is_oldest: false }),
];

fn plain(_: u64) -> Wants {
    Wants::default()
}

fn prioritized(number: u64) -> Wants {
    Wants { priority: [Priority::Low, Priority::Normal, Priority::High][(number % 3) as usize], ..Wants::default() }
}

fn tenanted(number: u64) -> Wants {
    Wants { tenant: Some(format!("tenant {}", number % 16).into()), ..Wants::default() }
}

fn thronged(number: u64) -> Wants {
    Wants { tenant: Some(format!("tenant {}", number % 10_000).into()), ..Wants::default() }
}

fn hinting(number: u64) -> Wants {
    of_session(number % SESSIONS, Affinity::Hint)
}

fn strict(number: u64) -> Wants {
    of_session(number % SESSIONS, Affinity::StrictQueue)
}

fn of_session(number: u64, affinity: Affinity) -> Wants {
    let id = format!("session {number:06}").into();
    Wants { session: Some(SessionWants { id, birth: 0, affinity }), ..Wants::default() }
}

#[test]
#[ignore = "a measurement: run by `cargo xtask bench scale`"]
fn dispatch_costs() {
    println!("\n{}", serde_json::json!({ "binding_bytes": binding_bytes() }));
    let grid = || CASES.into_iter().flat_map(|case| WORKERS.map(|workers| (case, workers)));
    let grid: Vec<_> = grid().flat_map(|(case, workers)| QUEUED.map(|queued| (case, workers, queued))).collect();
    let grid: Vec<_> = grid.into_iter().filter(|((_, case), _, queued)| case.has(*queued)).collect();
    let mut samples = vec![Vec::new(); grid.len()];
    for _ in 0..ROUNDS {
        for (((_, case), workers, queued), samples) in grid.iter().zip(&mut samples) {
            samples.push(Rig::new(*case, *workers, *queued).measure());
        }
    }
    for (((name, _), workers, queued), samples) in grid.into_iter().zip(samples) {
        let ns = median(samples);
        println!("{}", serde_json::json!({ "case": name, "workers": workers, "queued": queued, "ns": ns }));
    }
}

impl Case {
    /// Nobody waits where a worker is free, and nobody can be given up where nobody waits.
    fn has(self, queued: usize) -> bool {
        match self {
            Case::Direct => queued == 0,
            Case::Queued(_) => true,
            Case::Withdrawn { .. } => queued > 0,
        }
    }

    fn wants(self) -> fn(u64) -> Wants {
        match self {
            Case::Queued(wants) => wants,
            Case::Direct | Case::Withdrawn { .. } => plain,
        }
    }
}

/// A roster in which workers are busy, and so many calls wait.
struct Rig {
    case: Case,
    roster: Roster<Load, LifeId>,
    now: Instant,
    running: VecDeque<(CallId, LifeId)>,
    /// In [`Case::Withdrawn`], those that wait.
    waiting: VecDeque<CallId>,
    calls: u64,
}

impl Rig {
    fn new(case: Case, workers: usize, queued: usize) -> Rig {
        let mut roster = Roster::new(Config { per_worker: 1, max_queue: usize::MAX, max_requests: None });
        for seat in 0..workers {
            let life = LifeId { seat, generation: 1 };
            roster.ready(life, life, true, Instant::now());
        }
        let (running, waiting) = (VecDeque::new(), VecDeque::new());
        let mut rig = Rig { case, roster, now: Instant::now(), running, waiting, calls: 0 };
        let busy = if matches!(case, Case::Direct) { (workers - 1) / 2 } else { workers };
        (0..busy + queued).for_each(|_| rig.come(&case.wants()(rig.calls)));
        rig
    }

    /// Nanoseconds of one turn.
    fn measure(mut self) -> f64 {
        let slices = (0..2 * SLICES).map(|_| self.slice());
        median(slices.collect::<Vec<_>>().split_off(SLICES))
    }

    fn slice(&mut self) -> f64 {
        // Made beforehand: names are the caller's business.
        let wants: Vec<Wants> = (0..DECISIONS as u64).map(|n| self.case.wants()(self.calls + n)).collect();
        let start = Instant::now();
        wants.iter().for_each(|wants| self.turn(wants));
        start.elapsed().as_secs_f64() * 1e9 / DECISIONS as f64
    }

    fn turn(&mut self, wants: &Wants) {
        match self.case {
            Case::Direct => {
                self.come(wants);
                self.answer();
            }
            Case::Queued(_) => {
                self.come(wants);
                self.answer();
                self.serve();
            }
            Case::Withdrawn { is_oldest } => {
                let at = if is_oldest { 0 } else { self.calls.wrapping_mul(7_919) as usize % self.waiting.len() };
                // The last one takes the place of any; the oldest is the first.
                let id = if is_oldest { self.waiting.pop_front() } else { self.waiting.swap_remove_back(at) };
                black_box(self.roster.withdraw(id.unwrap()).unwrap());
                self.come(wants);
            }
        }
    }

    fn come(&mut self, wants: &Wants) {
        self.calls += 1;
        let (admission, step) = self.roster.admit([self.calls; 16], wants.clone(), self.now);
        match admission {
            Admission::Admitted { id, waits: true } if matches!(self.case, Case::Withdrawn { .. }) => {
                self.waiting.push_back(id);
            }
            Admission::Admitted { .. } => {}
            Admission::Refused(..) => panic!("refused"),
        }
        step.into_iter().for_each(|step| self.take(step));
    }

    fn answer(&mut self) {
        let (id, life) = self.running.pop_front().unwrap();
        black_box(self.roster.done(life, &[id], self.now).unwrap());
    }

    fn serve(&mut self) {
        while let Some(step) = self.roster.next(self.now) {
            self.take(step);
        }
    }

    fn take(&mut self, step: Step<Load, LifeId>) {
        match step {
            Step::Send { id, call, worker } => {
                black_box(call);
                self.running.push_back((id, worker));
            }
            Step::Drop(..) => panic!("dropped"),
        }
    }
}

/// What the roster keeps of one session whose calls are over: resident memory of ten rosters with 10 000 each.
fn binding_bytes() -> f64 {
    const ROSTERS: u64 = 10;
    let before = resident_bytes();
    let rosters: Vec<_> = (0..ROSTERS).map(|_| bound()).collect();
    let bytes = resident_bytes() - before;
    assert!(rosters.iter().all(|roster| roster.bound("session 009999", 0).is_some()));
    bytes / (ROSTERS * BINDINGS) as f64
}

fn bound() -> Roster<Load, Arc<()>> {
    let mut roster = Roster::new(Config { per_worker: 1, max_queue: 0, max_requests: None });
    let (life, now) = (LifeId { seat: 0, generation: 1 }, Instant::now());
    roster.ready(life, Arc::new(()), true, now);
    for number in 0..BINDINGS {
        let (admission, step) = roster.admit([0; 16], of_session(number, Affinity::Hint), now);
        let Admission::Admitted { id, .. } = admission else { panic!("refused") };
        drop(step);
        roster.done(life, &[id], now);
    }
    roster
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn resident_bytes() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * rustix::param::page_size() as f64
}
