//! Districts and products.

use std::collections::BTreeSet;

use super::{Of, Picture, Product, Put, next_number, tally};
use crate::catalogue::{Subject, Text, entry};

impl Picture<'_> {
    pub(super) fn district(&mut self, entry: &entry::District) {
        let Some(number) = entry.number else { return };
        let counts = &mut self.out.totals.districts;
        match (self.stored.districts.get(&number), &entry.name) {
            (None, None) => return self.required(Subject::Districts, entry.line, "name"),
            (before, Some(name)) if before != Some(name) => {
                tally(counts, before.is_none());
                self.out.changes.districts.push(Put {
                    is_new: before.is_none(),
                    row: (number, name.clone()),
                });
            }
            _ => counts.unchanged += 1,
        }
        self.districts.insert(number);
    }

    pub(super) fn product(&mut self, entry: &entry::Product) {
        let subject = Subject::Products;
        let meant: BTreeSet<i32> = entry
            .sender_ids
            .iter()
            .filter_map(|id| self.stored.product_ids.get(id).copied())
            .collect();
        let number = match (entry.number, meant.first()) {
            (Some(number), _) => Some(number),
            (None, Some(first)) => {
                if let Some(other) = meant.iter().nth(1) {
                    let reason = Text::new(
                        format!("это и товар {first}, и товар {other}: укажите номер"),
                        format!("means product {first} and product {other}: give the number"),
                    );
                    return self.problem(subject, entry.line, "sender_ids", reason);
                }
                Some(*first)
            }
            (None, None) => None,
        };
        let before = number.and_then(|number| self.stored.products.get(&number));
        if before.is_none() && entry.name.is_none() {
            return self.required(subject, entry.line, "name");
        }
        let number = number.unwrap_or_else(|| {
            next_number(
                &mut self.free.product,
                &self.named_products,
                &mut self.out.shortage.product,
            )
        });
        if !self.take(subject, Of::Product, number, entry.line) {
            return;
        }
        let mut after = before.cloned().unwrap_or_else(|| Product {
            number,
            name: String::new(),
            active: true,
        });
        if let Some(name) = &entry.name {
            after.name.clone_from(name);
        }
        entry.active.apply_or(&mut after.active, true);

        let mut changed = before != Some(&after);
        if changed {
            self.out.changes.products.push(Put {
                is_new: before.is_none(),
                row: after,
            });
        }
        for id in &entry.sender_ids {
            let now = self.stored.product_ids.get(id);
            if now == Some(&number) {
                continue;
            }
            if let Some(now) = now {
                let line = entry.line;
                let (ru, en) = if number > 0 {
                    (number.to_string(), number.to_string())
                } else {
                    ("(новый)".to_owned(), "(new)".to_owned())
                };
                let note = Text::new(
                    format!(
                        "строка {line}: id отправителя {id} означал товар {now}, теперь товар {ru}"
                    ),
                    format!(
                        "line {line}: sender id {id} meant product {now} and now means product {en}"
                    ),
                );
                self.out.notes.push(note);
            }
            changed = true;
            self.out.changes.product_ids.push(Put {
                is_new: now.is_none(),
                row: (id.clone(), number),
            });
        }
        let counts = &mut self.out.totals.products;
        if changed {
            tally(counts, before.is_none());
        } else {
            counts.unchanged += 1;
        }
        self.products.insert(number);
    }
}
