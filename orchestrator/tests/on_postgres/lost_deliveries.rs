//! What passes over bound repositories share through the database: who makes a pass, who asks GitHub, and what is
//! known of labels.

use std::collections::BTreeSet;

use crate::store_support::TestDatabase;
use chrono::{DateTime, TimeDelta, Utc};
use domain::events::{Thread, ThreadKind};
use domain::recovery::{Asked, Difference, LabelTold};
use orchestrator::store::hook_reads::{self, PassEnd};
use orchestrator::store::{clock, repositories, told_labels};
use sqlx::PgPool;
use uuid::Uuid;

async fn bound(pool: &PgPool) -> Uuid {
    let project: Uuid =
        sqlx::query_scalar("INSERT INTO projects (slug, name) VALUES ('p', 'P') RETURNING id")
            .fetch_one(pool)
            .await
            .unwrap();
    let id = Uuid::new_v4();
    let new = repositories::NewRepository {
        id,
        project_id: project,
        alias: "app",
        external_id: 1,
        owner: "shop",
        name: "app",
        role: "service",
        default_ref: "main",
        services_yaml_path: "services.yaml",
        docs_root_path: None,
        token_encrypted: &[],
    };
    let mut connection = pool.acquire().await.unwrap();
    repositories::insert(&mut connection, &new).await.unwrap();
    id
}

async fn pass_time(pool: &PgPool, seconds: f64) {
    let mut connection = pool.acquire().await.unwrap();
    let epoch = clock::announce(&mut connection, seconds).await.unwrap();
    clock::apply(&mut connection, epoch).await.unwrap();
}

fn end(look_again_soon: bool) -> PassEnd {
    PassEnd {
        read_until: DateTime::UNIX_EPOCH,
        compared_until: None,
        look_again_soon,
    }
}

#[tokio::test]
async fn a_repository_is_due_every_five_minutes_and_at_a_start_for_one_process() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    let id = bound(&pool).await;
    let due = async || {
        let claimed = hook_reads::claim(&pool, 4).await.unwrap();
        claimed
            .into_iter()
            .map(|row| row.repository_id)
            .collect::<Vec<_>>()
    };
    let none: Vec<Uuid> = Vec::new();
    assert_eq!(
        due().await,
        none,
        "nothing is lost when it has just been bound"
    );
    hook_reads::make_all_due(&pool).await.unwrap();
    assert_eq!(due().await, [id]);
    assert_eq!(due().await, none, "another process has it");
    pass_time(&pool, 299.0).await;
    assert_eq!(due().await, none);
    pass_time(&pool, 1.0).await;
    assert_eq!(due().await, [id]);
    pass_time(&pool, 300.0).await;
    sqlx::query("UPDATE repositories SET unbound_at = platform_now()")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(due().await, none, "it is bound no more");
}

#[tokio::test]
async fn a_pass_that_follows_another_is_not_followed_by_a_third() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    bound(&pool).await;
    hook_reads::make_all_due(&pool).await.unwrap();
    for (seconds, is_due) in [(0.0, true), (15.0, true), (15.0, false), (285.0, true)] {
        pass_time(&pool, seconds).await;
        let claimed = hook_reads::claim(&pool, 4).await.unwrap();
        assert_eq!(claimed.len(), usize::from(is_due), "after {seconds} s more");
        if let Some(repository) = claimed.first() {
            let mut connection = pool.acquire().await.unwrap();
            hook_reads::finish(&mut connection, repository, &end(true))
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_pass_that_a_start_asked_for_while_another_ran_may_be_followed_by_one_more() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    bound(&pool).await;
    hook_reads::make_all_due(&pool).await.unwrap();
    let claim = async || hook_reads::claim(&pool, 1).await.unwrap().pop();
    let first = claim().await.expect("due at the start of a process");
    // Another process starts before the pass of the first is over.
    hook_reads::make_all_due(&pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    hook_reads::finish(&mut connection, &first, &end(true))
        .await
        .unwrap();
    let second = claim().await.expect("due at the start of the other");
    hook_reads::finish(&mut connection, &second, &end(true))
        .await
        .unwrap();
    drop(connection);
    pass_time(&pool, 16.0).await;
    assert!(claim().await.is_some(), "what was young is looked at again");
}

#[tokio::test]
async fn control_planes_side_by_side_ask_once_and_again_a_minute_later() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    let id = bound(&pool).await;
    let wanted = |attempt_id| {
        ["a", "b"].map(|delivery_id| Asked {
            delivery_id: delivery_id.to_owned(),
            attempt_id,
        })
    };
    let (first, other) = (wanted(1), wanted(1));
    let (first, other) = tokio::join!(
        hook_reads::take_requests(&pool, id, &first),
        hook_reads::take_requests(&pool, id, &other),
    );
    let (first, other) = (first.unwrap(), other.unwrap());
    let both = BTreeSet::from(["a", "b"].map(str::to_owned));
    assert_eq!(first.len() + other.len(), 2);
    assert_eq!(first.union(&other).cloned().collect::<BTreeSet<_>>(), both);
    assert_eq!(hook_reads::asked_lately(&pool, id).await.unwrap(), both);
    pass_time(&pool, 60.0).await;
    assert!(
        hook_reads::asked_lately(&pool, id)
            .await
            .unwrap()
            .is_empty()
    );
    let again = hook_reads::take_requests(&pool, id, &wanted(2))
        .await
        .unwrap();
    assert_eq!(again, both);
}

#[tokio::test]
async fn labels_are_known_by_the_newest_change_in_whatever_order_it_was_told() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    let id = bound(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
    let told = |is_set, changed_at: DateTime<Utc>| LabelTold {
        thread: Thread::issue("shop/app", 7),
        label: "run:dev".to_owned(),
        is_set,
        changed_at,
    };
    for (change, known) in [
        (told(true, at(1)), true),
        (told(false, at(3)), false),
        (told(true, at(2)), false),
        (told(true, at(3)), true),
    ] {
        told_labels::remember(&mut connection, id, &change)
            .await
            .unwrap();
        let seen = told_labels::of_threads(&pool, id, "shop/app", &[7])
            .await
            .unwrap();
        let key = (ThreadKind::Issue, 7, "run:dev".to_owned());
        assert_eq!(seen.told.get(&key), Some(&known), "{change:?}");
    }
}

#[tokio::test]
async fn a_difference_is_new_until_it_is_known_and_again_when_it_was_gone() {
    let TestDatabase { pool, .. } = TestDatabase::migrated().await;
    let id = bound(&pool).await;
    let mut connection = pool.acquire().await.unwrap();
    let difference = |labels: &[&str]| Difference {
        kind: ThreadKind::Issue,
        number: 7,
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        expected: Vec::new(),
        since: DateTime::UNIX_EPOCH,
    };
    let one = difference(&["run:dev"]);
    let two = difference(&["run:dev", "run:plan"]);
    for (seen, is_new) in [(&one, true), (&one, false), (&two, true), (&one, true)] {
        let told = told_labels::differs_anew(&mut connection, id, seen)
            .await
            .unwrap();
        assert_eq!(told, is_new, "{seen:?}");
    }
    told_labels::forget(&mut connection, id, &[(ThreadKind::PullRequest, 7)])
        .await
        .unwrap();
    assert!(
        !told_labels::differs_anew(&mut connection, id, &one)
            .await
            .unwrap()
    );
    told_labels::forget(&mut connection, id, &[(ThreadKind::Issue, 7)])
        .await
        .unwrap();
    assert!(
        told_labels::differs_anew(&mut connection, id, &one)
            .await
            .unwrap()
    );
}
