use std::net::IpAddr;

use tokio::{sync::mpsc, task::JoinHandle};

use super::*;

fn share(publication: &str, address: &str) -> Share {
    Share::new(publication, address.parse::<IpAddr>().expect("an address"))
}

/// Who waits, and in which order they are served. Each gives its permit back at once.
struct Queue {
    semaphore: FairSemaphore,
    served: mpsc::UnboundedReceiver<&'static str>,
    serve: mpsc::UnboundedSender<&'static str>,
}

impl Queue {
    fn new(semaphore: FairSemaphore) -> Self {
        let (serve, served) = mpsc::unbounded_channel();
        Self {
            semaphore,
            served,
            serve,
        }
    }

    /// One more that waits. It is in the queue when this returns.
    async fn wait(&self, name: &'static str, share: Share, permits: usize) -> JoinHandle<()> {
        let before = self.semaphore.waiting();
        let (semaphore, serve) = (self.semaphore.clone(), self.serve.clone());
        let waits = tokio::spawn(async move {
            let permit = semaphore.acquire(&share, permits).await.expect("a permit");
            serve.send(name).expect("somebody listens");
            drop(permit);
        });
        while self.semaphore.waiting() == before {
            tokio::task::yield_now().await;
        }
        waits
    }

    async fn order(mut self) -> Vec<&'static str> {
        drop(self.serve);
        let mut order = Vec::new();
        while let Some(name) = self.served.recv().await {
            order.push(name);
        }
        assert!(
            self.semaphore.inner.state.lock().levels.is_empty(),
            "nothing is left behind"
        );
        order
    }
}

#[tokio::test]
async fn a_publications_crowd_waits_for_itself_and_whoever_else_comes_is_next() {
    let semaphore = FairSemaphore::new(1);
    let crowd = share("crowd", "192.0.2.1");
    let held = semaphore.acquire(&crowd, 1).await.expect("free");
    let queue = Queue::new(semaphore);
    for name in ["crowd 1", "crowd 2", "crowd 3"] {
        queue.wait(name, crowd, 1).await;
    }
    queue.wait("other 1", share("other", "192.0.2.1"), 1).await;
    queue.wait("other 2", share("other", "192.0.2.1"), 1).await;
    drop(held);
    let order = queue.order().await;
    assert_eq!(
        order,
        ["other 1", "crowd 1", "other 2", "crowd 2", "crowd 3"]
    );
}

#[tokio::test]
async fn inside_of_a_publication_networks_take_turns_and_many_addresses_of_one_count_as_one() {
    let semaphore = FairSemaphore::new(1);
    let held = semaphore
        .acquire(&share("shop", "192.0.2.1"), 1)
        .await
        .expect("free");
    let queue = Queue::new(semaphore);
    for (name, address) in [
        ("a1", "192.0.2.1"),
        ("a1 again", "192.0.2.1"),
        ("a2", "192.0.2.2"),
        ("a3", "192.0.2.3"),
        ("b", "198.51.100.1"),
        ("b again", "198.51.100.1"),
    ] {
        queue.wait(name, share("shop", address), 1).await;
    }
    drop(held);
    let order = queue.order().await;
    assert_eq!(order, ["b", "a2", "b again", "a3", "a1", "a1 again"]);
}

#[tokio::test]
async fn whoever_holds_less_is_served_before_whoever_holds_more() {
    let semaphore = FairSemaphore::new(3);
    let (much, little) = (share("much", "192.0.2.1"), share("little", "192.0.2.1"));
    let two = semaphore.acquire(&much, 2).await.expect("free");
    let one = semaphore.acquire(&little, 1).await.expect("free");
    let queue = Queue::new(semaphore);
    let stays = queue.wait("much", much, 1).await;
    queue.wait("little 1", little, 1).await;
    queue.wait("little 2", little, 1).await;
    drop(one);
    stays.await.expect("served");
    drop(two);
    assert_eq!(queue.order().await, ["little 1", "little 2", "much"]);
}

#[tokio::test]
async fn a_large_request_is_not_overtaken_for_ever_by_small_ones() {
    let semaphore = FairSemaphore::new(4);
    let (large, small) = (share("large", "192.0.2.1"), share("small", "192.0.2.1"));
    let held = semaphore.acquire(&small, 3).await.expect("free");
    let queue = Queue::new(semaphore.clone());
    queue.wait("large", large, 9).await;
    // One is free, but it is not this one's turn.
    queue.wait("small", small, 1).await;
    drop(held);
    assert_eq!(queue.order().await, ["large", "small"]);
    assert_eq!(semaphore.total_and_free(), (4, 4));
}

#[tokio::test]
async fn whoever_gives_up_leaves_the_queue_or_gives_back_what_it_was_granted() {
    let semaphore = FairSemaphore::new(1);
    let shop = share("shop", "192.0.2.1");
    let held = semaphore.acquire(&shop, 1).await.expect("free");
    let queue = Queue::new(semaphore.clone());
    let gone = queue.wait("gone", shop, 1).await;
    queue.wait("stays", shop, 1).await;
    gone.abort();
    assert!(gone.await.expect_err("cut off").is_cancelled());
    drop(held);
    assert_eq!(queue.order().await, ["stays"]);

    let held = semaphore.acquire(&shop, 1).await.expect("free");
    let mut granted = Box::pin(semaphore.acquire(&shop, 1));
    tokio::select! {
        biased;
        _ = &mut granted => panic!("there is one permit"),
        () = std::future::ready(()) => {}
    }
    drop(held);
    assert_eq!(semaphore.total_and_free(), (1, 0));
    drop(granted);
    assert_eq!(semaphore.total_and_free(), (1, 1));
    assert!(semaphore.inner.state.lock().levels.is_empty());
}

/// One more that waits. It is in the queue when this returns.
async fn wait(semaphore: &FairSemaphore, share: Share) -> JoinHandle<Result<(), QueueFull>> {
    let before = semaphore.inner.state.lock().clock;
    let there = semaphore.clone();
    let waits = tokio::spawn(async move { there.acquire(&share, 1).await.map(drop) });
    while semaphore.inner.state.lock().clock == before {
        tokio::task::yield_now().await;
    }
    waits
}

#[tokio::test]
async fn where_as_many_wait_as_may_a_newcomer_takes_the_room_of_a_larger_crowd() {
    let semaphore = FairSemaphore::with_most_waiting(1, [4, 3, 2]);
    let shop = |address| share("shop", address);
    let held = semaphore
        .acquire(&shop("192.0.2.1"), 1)
        .await
        .expect("free");
    let turned_away = async |address| {
        let permit = semaphore.acquire(&shop(address), 1).await;
        assert_eq!(permit.expect_err("too many"), QueueFull, "{address}");
    };
    let first = wait(&semaphore, shop("192.0.2.1")).await;
    let last_of_address = wait(&semaphore, shop("192.0.2.1")).await;
    turned_away("192.0.2.1").await;
    let other_address = wait(&semaphore, shop("192.0.2.2")).await;
    // Of the /24 three wait, of its first address two.
    let third_address = wait(&semaphore, shop("192.0.2.3")).await;
    assert_eq!(last_of_address.await.expect("no panic"), Err(QueueFull));
    turned_away("192.0.2.4").await;
    let elsewhere = wait(&semaphore, shop("198.51.100.1")).await;
    // And now four in all.
    let newcomer = wait(&semaphore, shop("203.0.113.1")).await;
    assert_eq!(third_address.await.expect("no panic"), Err(QueueFull));
    drop(held);
    for served in [first, other_address, elsewhere, newcomer] {
        assert_eq!(served.await.expect("no panic"), Ok(()));
    }
    assert!(semaphore.inner.state.lock().levels.is_empty());
}
