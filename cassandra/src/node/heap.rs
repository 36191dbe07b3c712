//! The size of the node's heap, checked against the memory that there is.

use std::fs;

use super::Error;

const MIB: u64 = 1 << 20;

/// In MiB, which is how it is handed to the JVM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Heap(u64);

impl Heap {
    /// `384M`, `1G`, `1g`. Refused: what is no size, and what is more than this machine (or container) has. Linux would grant it and
    /// kill the node later.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let heap = mebibytes(text).ok_or_else(|| Error::Heap { text: text.to_owned() })?;
        match memory() {
            Some(memory) if heap >= memory => Err(Error::Memory { heap, memory }),
            _ => Ok(Self(heap)),
        }
    }

    /// As `-Xms` and `-Xmx` take it.
    pub(super) fn argument(self) -> String {
        format!("{}M", self.0)
    }
}

fn mebibytes(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let mebibytes = match unit {
        'm' | 'M' => Some(number),
        'g' | 'G' => number.checked_mul(1024),
        _ => None,
    };
    mebibytes.filter(|&mebibytes| mebibytes > 0)
}

/// What the machine has, or what a container is allowed, in MiB. None where neither can be read.
fn memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    // "max" where there is no limit, which is no number.
    let container =
        fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| Some(text.trim().parse::<u64>().ok()? / MIB));
    machine.into_iter().chain(container).min()
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_is_a_number_and_a_unit() {
        assert_eq!(Heap::parse("384M").unwrap().argument(), "384M");
        assert_eq!(Heap::parse("1g").unwrap().argument(), "1024M");
        for text in ["", "G", "1", "1.5G", "-1G", "0M", "1T", "1\u{20ac}", "99999999999999999999G"] {
            assert!(matches!(Heap::parse(text), Err(Error::Heap { .. })), "{text}");
        }
    }

    #[test]
    fn a_heap_larger_than_the_machine_is_refused() {
        let error = Heap::parse("9000000G").unwrap_err();
        assert!(matches!(error, Error::Memory { .. }), "{error:?}");
    }

    #[test]
    fn the_machine_says_how_much_it_has() {
        assert_eq!(total("MemTotal:       16384000 kB\nMemFree: 1 kB\n"), Some(16000));
        assert!(memory().is_some_and(|mebibytes| mebibytes > 100));
    }
}
