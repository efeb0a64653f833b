//! Bounds and order, which one thread shows.

#![cfg(not(loom))]

use super::*;

const NOW: Duration = Duration::ZERO;

fn batch(queue: &Queue<usize>) -> Vec<usize> {
    match queue.take(NOW) {
        Taken::Batch(batch) => batch.into_iter().map(|waiting| waiting.job).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_batch_has_bounds_and_keeps_the_order() {
    let queue = Queue::new(2 * BATCH_JOBS_MAX);
    for job in 0..BATCH_JOBS_MAX + 3 {
        queue.push(job, 0, Urgency::Intake).unwrap();
    }
    assert_eq!(batch(&queue), (0..BATCH_JOBS_MAX).collect::<Vec<_>>());
    assert_eq!(batch(&queue), (BATCH_JOBS_MAX..BATCH_JOBS_MAX + 3).collect::<Vec<_>>());
    // The one that goes over the bytes is the last of its batch.
    for job in 0..4 {
        queue.push(job, BATCH_BYTES_MAX / 2, Urgency::Work).unwrap();
    }
    assert_eq!((batch(&queue), batch(&queue)), (vec![0, 1], vec![2, 3]));
    assert!(matches!(queue.take(NOW), Taken::Idle));
    queue.close();
    assert!(matches!(queue.take(NOW), Taken::Closed));
}

#[test]
fn what_waits_is_bounded_by_number_and_bytes() {
    let queue = Queue::new(1);
    assert_eq!(queue.push(0, QUEUE_BYTES_MAX * 2, Urgency::Intake), Ok(()), "one always fits");
    assert_eq!(queue.push(1, 0, Urgency::Intake), Err(Refusal::Overloaded));
    assert_eq!(queue.push(2, 9, Urgency::Work), Ok(()), "the end of an attempt has room of its own");
    assert_eq!(queue.push(3, 0, Urgency::Work), Err(Refusal::Overloaded));
    assert_eq!(queue.push(4, 1, Urgency::Bulk), Err(Refusal::Overloaded), "by bytes");
    assert_eq!((batch(&queue), batch(&queue)), (vec![0], vec![2]));
    let roomy = Queue::new(10);
    roomy.push(0, QUEUE_BYTES_MAX - 1, Urgency::Intake).unwrap();
    assert_eq!(roomy.push(1, 2, Urgency::Intake), Err(Refusal::Overloaded));
    assert_eq!(roomy.push(1, 1, Urgency::Intake), Ok(()));
    assert_eq!((batch(&roomy), batch(&roomy)), (vec![0], vec![1]));
    assert_eq!(roomy.push(2, QUEUE_BYTES_MAX, Urgency::Intake), Ok(()), "what was taken makes room");
}

#[test]
fn bulk_goes_alone_when_nothing_else_waits_or_has_waited_long() {
    let queue = Queue::new(10);
    for job in [100, 101, 102] {
        queue.push(job, 0, Urgency::Bulk).unwrap();
    }
    assert_eq!(batch(&queue), [100]);
    for round in 0..usize::try_from(BULK_AFTER_BATCHES).unwrap() {
        queue.push(round, 0, Urgency::Intake).unwrap();
        assert_eq!(batch(&queue), [round], "callbacks go first");
    }
    queue.push(7, 0, Urgency::Intake).unwrap();
    assert_eq!((batch(&queue), batch(&queue), batch(&queue)), (vec![101], vec![7], vec![102]));
}

#[test]
fn what_waits_at_the_close_is_still_done() {
    let queue = Queue::new(10);
    queue.push(1, 5, Urgency::Intake).unwrap();
    queue.push(2, 5, Urgency::Bulk).unwrap();
    queue.close();
    assert_eq!(queue.push(3, 5, Urgency::Work), Err(Refusal::Closed));
    assert_eq!((batch(&queue), batch(&queue)), (vec![1], vec![2]));
    assert!(matches!(queue.take(NOW), Taken::Closed));
}
