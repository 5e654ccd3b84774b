//! Owns: the CPU time of the group: when it can be used up at the earliest, and whether it is.
//! Must not: end anything; the keeper does.

use crate::start::Plan;
use crate::sys;

/// The clock is looked at again no sooner than this, and this often where it can't be read.
const SHORTEST: u64 = 1_000_000;
const UNREADABLE: u64 = 100_000_000;

pub struct Watch {
    fd: i32,
    limit: u64,
    unit: u64,
    width: u64,
    next: u64,
}

impl Watch {
    pub fn new(plan: &Plan) -> Option<Self> {
        let header = &plan.header;
        let fd = plan.fd_at(header.cpu_stat)?;
        Some(Self { fd, limit: header.cpu_limit, unit: header.cpu_unit, width: header.cpu_width.max(1), next: 0 })
    }

    /// Where it reads.
    pub const fn fd(&self) -> i32 {
        self.fd
    }

    /// Nanoseconds until the limit can be reached with every CPU busy; 0: it is reached.
    pub fn left(&mut self) -> u64 {
        let now = sys::monotonic();
        if now < self.next {
            return self.next.saturating_sub(now);
        }
        let wait = match self.used() {
            Some(used) if used >= self.limit => return 0,
            Some(used) => (self.limit.saturating_sub(used).checked_div(self.width).unwrap_or(0)).max(SHORTEST),
            None => UNREADABLE,
        };
        self.next = now.saturating_add(wait);
        wait
    }

    /// The first number of the file: `cpuacct.usage` is one, `cpu.stat` begins with `usage_usec`.
    fn used(&self) -> Option<u64> {
        let mut text = [0u8; 40];
        let got = sys::read_again(self.fd, &mut text);
        let text = text.get(..usize::try_from(got).ok()?)?;
        let digits = text.iter().skip_while(|byte| !byte.is_ascii_digit()).take_while(|byte| byte.is_ascii_digit());
        let mut number = None;
        for digit in digits {
            number = Some(number.unwrap_or(0u64).wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0'))));
        }
        Some(number?.saturating_mul(self.unit))
    }
}
