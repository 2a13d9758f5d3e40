//! What a target answers is a stranger's input: whatever it is, each order that was sent has one verdict, and nothing of it can
//! mislead (contract §8.3).

use std::collections::HashSet;

use aqua_orders::{
    config::Protocol,
    exchange::targets::answer::{Sent, Verdict, read, reason},
};

/// The answer to these three.
const IDS: [&str; 3] = ["a", "б", "3"];

pub fn check(input: &[u8]) {
    let sent = IDS.map(|id| Sent {
        id: id.to_owned(),
        external_id: format!("site-{id}"),
    });
    if let Some(reason) = reason(input) {
        is_harmless(&reason, 500);
    }
    for protocol in [Protocol::OneC, Protocol::Aqua] {
        let Ok(answer) = read(protocol, input, &sent) else {
            continue;
        };
        assert_eq!(answer.verdicts.len(), sent.len());
        let notes: HashSet<_> = answer.notes.iter().collect();
        assert_eq!(notes.len(), answer.notes.len(), "{:?}", answer.notes);
        let mut numbers = HashSet::new();
        for verdict in &answer.verdicts {
            match verdict {
                Verdict::Refused(why) => is_harmless(why, 500),
                Verdict::Taken(taken) if protocol == Protocol::Aqua => {
                    assert_eq!((&taken.number, taken.status), (&None, None));
                }
                Verdict::Taken(taken) => {
                    if let Some(number) = &taken.number {
                        is_harmless(number, 255);
                        assert_ne!(number, "0");
                        assert!(numbers.insert(number), "{number} twice");
                    }
                }
            }
        }
        // It says the same behind a BOM.
        let with_bom = [b"\xEF\xBB\xBF", input].concat();
        if !input.starts_with(b"\xEF\xBB\xBF") {
            assert_eq!(read(protocol, &with_bom, &sent).as_ref(), Ok(&answer));
        }
    }
}

/// It can be stored and shown.
fn is_harmless(text: &str, most: usize) {
    assert!(!text.is_empty());
    assert!(text.chars().count() <= most, "{text:?}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}
