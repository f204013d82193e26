//! Whether something waits on the way, from when packets were sent and when they came (draft-ietf-rmcat-gcc-02 section 5).
//!
//! Two looks at the same times. The trend: packets are put into groups of 5 ms, and a line is laid through the delays of the last
//! twenty; its slope is held against a threshold that learns. It sees little queues, but at 30 frames a second it takes 660 ms,
//! in which a stream of twice what the way carries makes a queue as long. So there are steps beside it: the least delay in each
//! 25 ms. Three steps that grow well above the least delay of all are a queue that is built up, whatever the trend says.

use core::time::Duration;

use super::trend::{Group, Trend};

/// What goes on on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// Nothing changes.
    #[default]
    Normal,
    /// A queue grows.
    Over,
    /// A queue shrinks.
    Under,
    /// What was taken for a queue was none.
    Mistaken,
}

/// Packets that were sent within so many microseconds are one group (section 5.2).
const GROUP_MICROS: i64 = 5_000;

/// Microseconds of sending in a step.
const STEP_MICROS: i64 = 25_000;

/// A delay that is so much above the least one, in microseconds, is a queue's: jitter of a wired way stays below. Where there is
/// more, twice of it.
const IDLE_MICROS: f64 = 10_000.0;

/// What a step counts for the jitter, and how much of its difference from the one before in microseconds: a queue is no jitter.
const JITTER_FRESH: f64 = 1.0 / 16.0;
const JITTER_MOST: f64 = 30_000.0;

/// Three steps above that, each with more delay than the one before, are a queue that grows: when the last one is so far above the
/// least delay, in microseconds, and three fifths of that above the first. The last one is judged by its first packet: each frame
/// that is waited for is sent meanwhile.
const BUILT_UP_MICROS: f64 = 25_000.0;
const BUILT_UP_MOST: f64 = 150_000.0;

/// A packet that waits so many times as long is enough: where the way has become much narrower, three steps take seconds.
const BUILT_UP_AT_ONCE: f64 = 4.0;

/// By so much that grows with each mistake, for then it was jitter; and what is left of the growth with each step: half of it is
/// gone after half a minute.
const MISTAKEN: f64 = 1.5;
const STILL_MISTAKEN: f64 = 0.999;

/// The least delay is that of ten to twenty seconds: clocks drift by one millisecond in twenty seconds at most, and whatever fits
/// its rate to the way empties its queue within.
const LEAST_MICROS: i64 = 10_000_000;

/// Times of which the difference is more than that are those of another clock, or it was set anew.
const CLOCK_LEAP_MICROS: i64 = 10_000_000;

/// What was carried while something waits is measured for so long at least, and at most, in microseconds.
const CARRIED_LEAST: i64 = 50_000;
const CARRIED_MOST: i64 = 500_000;

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Delay {
    group: Option<Group>,
    trend: Trend,
    step: Option<Step>,
    /// The delays of the last steps, newest first.
    steps: [Option<i64>; 2],
    least: Least,
    /// When the first packet came after the last step in which nothing waited, and the bytes that came since.
    busy: Option<(i64, u64)>,
    last_arrival: i64,
    /// Steps have told of this queue.
    is_told: bool,
    /// See [`BUILT_UP_MICROS`].
    built_up: f64,
    /// How much the delays of steps differ from one to the next, in microseconds.
    jitter: f64,
    alarm: Option<Alarm>,
    usage: Usage,
}

/// A queue that was told of, by the sender's clock.
#[derive(Clone, Copy, Debug)]
struct Alarm {
    /// When the packet was sent that showed it.
    sent: i64,
    /// Since when less is sent because of it.
    heeded: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    since: i64,
    least: i64,
}

impl Delay {
    pub(super) const fn new() -> Self {
        Self {
            group: None,
            trend: Trend::new(),
            step: None,
            steps: [None; 2],
            least: Least { now: None, before: None },
            busy: None,
            last_arrival: 0,
            is_told: false,
            built_up: BUILT_UP_MICROS,
            jitter: 0.0,
            alarm: None,
            usage: Usage::Normal,
        }
    }

    /// A packet was sent and came then, in microseconds of two clocks.
    pub(super) fn push(&mut self, sent: i64, arrival: i64, bytes: u32) {
        let delay = arrival - sent;
        if self.least.get().is_some_and(|least| (delay - least).abs() > CLOCK_LEAP_MICROS) {
            *self = Self { usage: self.usage, ..Self::new() };
        }
        self.last_arrival = self.last_arrival.max(arrival);
        if let Some((since, carried)) = &mut self.busy
            && arrival > *since
        {
            *carried += u64::from(bytes);
        }
        self.push_step(sent, arrival);
        let waits = self.least.get().map_or(0, |least| delay - least);
        if waits as f64 > BUILT_UP_AT_ONCE * self.built_up && !core::mem::replace(&mut self.is_told, true) {
            self.raise(sent);
        }
        self.push_group(sent, arrival);
    }

    /// What the packets since the last call have shown; a queue that grows counts more than what came after.
    pub(super) const fn take_usage(&mut self) -> Usage {
        core::mem::replace(&mut self.usage, Usage::Normal)
    }

    /// Whether less is sent from now on because of the queue that was told of; else it may be told of again.
    pub(super) fn heeded(&mut self, is_heeded: bool, now: i64) {
        if is_heeded && let Some(alarm) = &mut self.alarm {
            alarm.heeded = Some(now);
        } else {
            (self.alarm, self.is_told) = (None, false);
        }
    }

    /// How long packets wait.
    pub(super) fn waiting(&self) -> Duration {
        let least_of_two = self.steps.iter().flatten().min();
        let micros = least_of_two.zip(self.least.get()).map_or(0, |(delay, least)| delay - least);
        Duration::from_micros(micros.max(0).cast_unsigned())
    }

    /// What was delivered while something waited, in bits per second: that is what the way carries. Nothing where that was too
    /// short a time; where it was long, what was delivered lately says it: `lately`.
    pub(super) fn carried(&self, lately: Option<f64>) -> Option<f64> {
        let (since, bytes) = self.busy?;
        match self.last_arrival - since {
            ..CARRIED_LEAST => None,
            CARRIED_MOST.. => lately,
            micros => Some(bytes as f64 * 8e6 / micros as f64),
        }
    }

    fn push_step(&mut self, sent: i64, arrival: i64) {
        let fresh = Step { since: sent, least: arrival - sent };
        let Some(step) = &mut self.step else {
            self.step = Some(fresh);
            return;
        };
        if sent - step.since < STEP_MICROS {
            step.least = step.least.min(fresh.least);
            return;
        }
        let ended = core::mem::replace(step, fresh);
        let least = self.least.push(ended.least, sent);
        if let [Some(before), _] = self.steps {
            let differs = ((ended.least - before).abs() as f64).min(JITTER_MOST);
            self.jitter += JITTER_FRESH * (differs - self.jitter);
        }
        self.steps = [Some(ended.least), self.steps[0]];
        self.built_up = BUILT_UP_MICROS + (self.built_up - BUILT_UP_MICROS) * STILL_MISTAKEN;
        let is_idle = !self.waits(ended.least - least);
        // Where nothing was sent for so long, nothing was carried.
        if is_idle || sent - ended.since > CARRIED_MOST {
            self.busy = Some((arrival, 0));
        }
        if is_idle {
            self.is_told = false;
            self.reconsider(ended.since);
        }
        if self.is_built_up(fresh.least, least) && !core::mem::replace(&mut self.is_told, true) {
            self.raise(sent);
        }
    }

    /// Whether the first delay of a new step goes on where the last two rose to.
    fn is_built_up(&self, third: i64, least: i64) -> bool {
        let [Some(second), Some(first)] = self.steps else { return false };
        let rises = first < second && second < third && (third - first) as f64 > 0.6 * self.built_up;
        rises && self.waits(first - least) && (third - least) as f64 > self.built_up
    }

    /// Whether a delay that is so much above the least one is a queue's.
    fn waits(&self, more: i64) -> bool {
        more as f64 > IDLE_MICROS.max(2.0 * self.jitter)
    }

    /// A queue grows, as a packet shows that was sent then.
    fn raise(&mut self, sent: i64) {
        self.usage = Usage::Over;
        self.alarm = self.alarm.filter(|alarm| alarm.heeded.is_none()).or(Some(Alarm { sent, heeded: None }));
    }

    /// Nothing waited when packets were sent then. Where that was after a queue was told of, but before less was sent, there was
    /// none: it would have grown on.
    fn reconsider(&mut self, sent: i64) {
        let Some(alarm) = self.alarm.filter(|alarm| sent > alarm.sent) else { return };
        self.alarm = None;
        if alarm.heeded.is_none_or(|heeded| sent < heeded) {
            self.built_up = (MISTAKEN * self.built_up).min(BUILT_UP_MOST);
            self.usage = if alarm.heeded.is_some() { Usage::Mistaken } else { Usage::Normal };
        }
    }

    fn push_group(&mut self, sent: i64, arrival: i64) {
        let fresh = Group { first_sent: sent, last_sent: sent, last_arrival: arrival };
        let Some(group) = &mut self.group else {
            self.group = Some(fresh);
            return;
        };
        if sent - group.first_sent <= GROUP_MICROS {
            group.last_sent = group.last_sent.max(sent);
            group.last_arrival = group.last_arrival.max(arrival);
            return;
        }
        let ended = core::mem::replace(group, fresh);
        let usage = self.trend.push(&ended);
        // A slope without a queue is jitter; where steps fall by more than that, what the line remembers is over, as behind a large
        // frame.
        let falls = matches!(self.steps, [Some(last), Some(before)] if (before - last) as f64 > self.jitter);
        let is_queue = !falls && self.waits(self.waiting().as_micros() as i64);
        match usage {
            Usage::Over if is_queue => self.raise(sent),
            Usage::Normal | Usage::Under if matches!(self.usage, Usage::Normal | Usage::Under) => self.usage = usage,
            _ => {}
        }
    }
}

/// The least delay of the last ten to twenty seconds.
#[derive(Clone, Debug)]
struct Least {
    /// With the time since when it counts.
    now: Option<(i64, i64)>,
    before: Option<i64>,
}

impl Least {
    fn push(&mut self, delay: i64, at: i64) -> i64 {
        self.now = match self.now {
            Some((since, least)) if at - since < LEAST_MICROS => Some((since, least.min(delay))),
            ended => {
                self.before = ended.map(|(_, least)| least);
                Some((at, delay))
            }
        };
        self.get().unwrap_or(delay)
    }

    fn get(&self) -> Option<i64> {
        let now = self.now.map(|(_, least)| least);
        now.into_iter().chain(self.before).min()
    }
}
