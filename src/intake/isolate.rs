//! A batch that the database refuses: finds the orders at fault and stores the others.

use std::{collections::HashSet, slice, sync::Arc, time::Duration};

use super::{
    Inner,
    attempt::{Failure, Options},
    job::{Answer, Job},
    transaction::transact,
};

/// Stores one batch without the orders that the database refuses.
pub async fn store_alone(
    inner: &Inner,
    job: &Arc<Job>,
    lock_patience: Option<Duration>,
) -> Result<Answer, Failure> {
    let jobs = slice::from_ref(job);
    let mut refused = HashSet::new();
    let mut without_kept = false;
    loop {
        let options = Options {
            refused: Some(&refused),
            lock_patience,
            without_kept,
            ..Options::default()
        };
        match transact(inner, jobs, &options).await {
            Ok(mut answers) => return answers.pop().ok_or(Failure::Unavailable),
            Err(Failure::Refused) => {}
            Err(failure) => return Err(failure),
        }
        let entries: HashSet<usize> = job.elements.iter().map(|element| element.entry).collect();
        let mut suspects: Vec<usize> = entries.difference(&refused).copied().collect();
        suspects.sort_unstable();
        let others = |part: &[usize]| {
            let others = entries
                .iter()
                .filter(|entry| part.binary_search(entry).is_err());
            others.copied().collect::<HashSet<usize>>()
        };
        let at_fault = find_at_fault(&suspects, |part| async move {
            let options = Options {
                skipped: Some(&others(part)),
                probe: true,
                lock_patience,
                ..Options::default()
            };
            match transact(inner, jobs, &options).await {
                Ok(_) => Ok(false),
                Err(Failure::Refused) => Ok(true),
                Err(failure) => Err(failure),
            }
        });
        let at_fault = at_fault.await?;
        if at_fault.is_empty() && without_kept {
            tracing::error!(
                request_id = job.request_id,
                "the database refuses the batch, but no order of it"
            );
            return Err(Failure::Unavailable);
        }
        if at_fault.is_empty() {
            // Or it would refuse the batch for ever, for the sake of what is only kept for people to read.
            tracing::error!(
                request_id = job.request_id,
                "the database does not take what is to be kept of the batch's orders: they are answered, and not kept"
            );
            without_kept = true;
        }
        refused.extend(at_fault);
    }
}

/// Finds entries at fault by halving; `is_refused` tells whether the database refuses these entries and takes back whatever it
/// tried.
///
/// If it takes each entry by itself but not all of them, the first one that it does not take together with those before it is
/// at fault. None are at fault if it takes all of them, or would refuse the batch without any.
async fn find_at_fault<'s, E, F: Future<Output = Result<bool, E>>>(
    suspects: &'s [usize],
    is_refused: impl Fn(&'s [usize]) -> F,
) -> Result<Vec<usize>, E> {
    // What is kept of orders is not part of the try, and then itself at fault.
    if !is_refused(suspects).await? {
        return Ok(Vec::new());
    }
    let mut at_fault = Vec::new();
    let mut refused_parts = vec![suspects];
    while let Some(part) = refused_parts.pop() {
        if let [entry] = part {
            at_fault.push(*entry);
            continue;
        }
        let (left, right) = part.split_at(part.len() / 2);
        for half in [right, left] {
            if !half.is_empty() && is_refused(half).await? {
                refused_parts.push(half);
            }
        }
    }
    if at_fault.is_empty() && !is_refused(&[]).await? {
        // This many from the front are taken, and this many are not.
        let (mut taken, mut refused) = (0, suspects.len());
        while refused > taken + 1 {
            let middle = usize::midpoint(taken, refused);
            if is_refused(&suspects[..middle]).await? {
                refused = middle;
            } else {
                taken = middle;
            }
        }
        at_fault.extend(suspects.get(taken));
    }
    Ok(at_fault)
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready};

    use super::*;

    /// Which of ten entries are found at fault, and in how many tries, where the database refuses what `refuses` says.
    async fn found(refuses: impl Fn(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let suspects: Vec<usize> = (0..10).collect();
        let tries = Cell::new(0);
        let at_fault = find_at_fault(&suspects, |part| {
            tries.set(tries.get() + 1);
            ready(Ok::<_, ()>(refuses(part)))
        });
        let at_fault = at_fault.await;
        (at_fault.expect("no failure"), tries.get())
    }

    #[tokio::test]
    async fn entries_that_are_refused_by_themselves_are_found_by_halving() {
        for culprits in [vec![0], vec![9], vec![3, 4], vec![0, 5, 9]] {
            let refuses = |part: &[usize]| part.iter().any(|entry| culprits.contains(entry));
            let (at_fault, tries) = found(refuses).await;
            assert_eq!(at_fault, culprits);
            assert!(tries <= 1 + 8 * culprits.len(), "{tries} tries");
        }
    }

    #[tokio::test]
    async fn of_entries_that_are_refused_together_only_the_later_one_is_at_fault() {
        let refuses = |part: &[usize]| part.contains(&2) && part.contains(&7);
        assert_eq!(found(refuses).await.0, [7]);
    }

    #[tokio::test]
    async fn none_are_at_fault_if_all_are_taken_or_the_batch_is_refused_without_any() {
        assert_eq!(found(|_| false).await, (vec![], 1));
        let refuses_many_or_none = |part: &[usize]| part.is_empty() || part.len() > 1;
        assert_eq!(found(refuses_many_or_none).await.0, Vec::<usize>::new());
    }

    #[tokio::test]
    async fn a_failure_of_the_database_ends_the_search() {
        let fails = |part: &[usize]| {
            ready(if part.len() > 5 {
                Ok(true)
            } else {
                Err("away")
            })
        };
        let suspects: Vec<usize> = (0..10).collect();
        assert_eq!(find_at_fault(&suspects, fails).await, Err("away"));
    }
}
