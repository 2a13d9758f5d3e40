//! Which of our products somebody may mean: by words that a name has in common with what the sender calls it.

use crate::store::console::CatalogueProduct;

/// Suggestions that are shown.
const MOST: usize = 12;

/// The products most like that name, the best first; with nothing to go by, none.
pub(super) fn suggest(name: &str, products: &[CatalogueProduct]) -> Vec<CatalogueProduct> {
    let wanted = words(name);
    let scored = products.iter().filter_map(|product| {
        let score = likeness(&wanted, &words(&product.name));
        (score > 0).then_some((score, product))
    });
    let mut scored: Vec<_> = scored.collect();
    scored.sort_by_key(|(score, product)| {
        (std::cmp::Reverse(*score), !product.active, product.number)
    });
    let best = scored.into_iter().take(MOST);
    best.map(|(_, product)| product.clone()).collect()
}

/// Letters and digits apart: "19л" is "19" and "л".
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for symbol in text.to_lowercase().replace('ё', "е").chars() {
        let kind = (symbol.is_numeric(), symbol.is_alphabetic());
        if kind != (false, false) {
            match words.last_mut() {
                Some(word) if last == Some(kind) => word.push(symbol),
                _ => words.push(symbol.into()),
            }
        }
        last = Some(kind);
    }
    words
}

/// How much of one the other has, in thousandths. A longer word counts more, and one that only begins alike counts half.
fn likeness(wanted: &[String], found: &[String]) -> usize {
    let weight = |word: &String| word.chars().count();
    let in_common = |word: &String| {
        if found.contains(word) {
            return 2 * weight(word);
        }
        let begins_alike = |other: &&String| {
            let alike = word.chars().zip(other.chars());
            alike.take_while(|(one, other)| one == other).count() >= 4
        };
        found.iter().find(begins_alike).map_or(0, |_| weight(word))
    };
    let common: usize = wanted.iter().map(in_common).sum();
    let all: usize = wanted.iter().chain(found).map(weight).sum();
    (1000 * common).checked_div(all).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> Vec<CatalogueProduct> {
        let names = [
            "Вода питьевая 19 л",
            "Вода питьевая 5 л",
            "Помпа механическая",
            "Кулер напольный Ecotronic",
            "Вода минеральная 19 л",
        ];
        let products = names
            .iter()
            .zip(1..)
            .map(|(name, number)| CatalogueProduct {
                number,
                name: (*name).to_owned(),
                active: true,
            });
        products.collect()
    }

    fn first(name: &str) -> Option<i32> {
        let suggested = suggest(name, &catalogue());
        suggested.first().map(|product| product.number)
    }

    #[test]
    fn a_product_is_known_by_its_words_in_any_order_case_and_ending() {
        for (name, number) in [
            ("питьевая ВОДА, 19л", Some(1)),
            ("Вода питьевая 5л", Some(2)),
            ("механическую помпу купить", Some(3)),
            ("ECOTRONIC M40", Some(4)),
            ("вода минеральная", Some(5)),
            ("Стакан", None),
            ("", None),
        ] {
            assert_eq!(first(name), number, "{name}");
        }
    }

    #[test]
    fn one_that_is_not_sold_any_more_comes_behind_its_like() {
        let mut catalogue = catalogue();
        catalogue[0].active = false;
        catalogue[4].name = "Вода питьевая 19 л".into();
        let numbers: Vec<i32> = suggest("вода питьевая 19 л", &catalogue)
            .iter()
            .map(|product| product.number)
            .collect();
        assert_eq!(numbers[..2], [5, 1]);
    }
}
