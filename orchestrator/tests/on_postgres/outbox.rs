//! Leases, fences and order of effects (D-31).

use crate::store_support::TestDatabase;
use domain::effects::{CommentPhase, CommentRecord, Effect, EffectPlan, LabelOrigin};
use domain::events::Thread;
use domain::ids::RunId;
use orchestrator::store::effects::{self, ClaimedEffect, EffectOwner};
use orchestrator::store::{effect_context, snapshots};
use sqlx::PgPool;
use uuid::Uuid;

async fn insert(pool: &PgPool, plan: EffectPlan) -> usize {
    let mut connection = pool.acquire().await.unwrap();
    effects::insert_plan(&mut connection, &plan.into_vec(), EffectOwner::default())
        .await
        .unwrap()
}

async fn claim(pool: &PgPool, owner: &str) -> Option<ClaimedEffect> {
    claim_many(pool, owner, 1).await.pop()
}

async fn claim_many(pool: &PgPool, owner: &str, limit: usize) -> Vec<ClaimedEffect> {
    let mut transaction = pool.begin().await.unwrap();
    let claimed = effects::claim(&mut transaction, owner, limit)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    claimed
}

async fn complete(pool: &PgPool, effect: &ClaimedEffect) -> bool {
    let mut connection = pool.acquire().await.unwrap();
    effects::complete(&mut connection, effect).await.unwrap()
}

async fn let_leases_end(pool: &PgPool) {
    sqlx::query(
        "UPDATE platform_clock SET offset_interval = offset_interval + interval '61 seconds'",
    )
    .execute(pool)
    .await
    .unwrap();
}

fn add_label(number: i64) -> Effect {
    Effect::AddLabel {
        thread: Thread::issue("o/r", number),
        label: "need:input".to_owned(),
        origin: LabelOrigin::system(),
    }
}

fn comment(number: i64) -> Effect {
    Effect::CreateComment {
        thread: Thread::issue("o/r", number),
        body: "why\0".to_owned(),
        record: CommentRecord::None,
    }
}

fn status(run: Uuid, phase: CommentPhase) -> Effect {
    Effect::UpsertStatusComment {
        thread: Thread::issue("o/r", 1),
        run_id: RunId(run),
        phase,
    }
}

#[tokio::test]
async fn an_owner_that_lost_its_lease_completes_nothing() {
    let database = TestDatabase::migrated().await;
    let mut plan = EffectPlan::new("d");
    plan.push(add_label(1));
    insert(&database.pool, plan).await;
    let first = claim(&database.pool, "a").await.unwrap();
    assert!(
        claim(&database.pool, "b").await.is_none(),
        "a lease keeps others away"
    );
    let_leases_end(&database.pool).await;
    let second = claim(&database.pool, "b").await.unwrap();
    assert!(second.fence > first.fence);
    assert!(
        !complete(&database.pool, &first).await,
        "the older fence is refused"
    );
    assert!(complete(&database.pool, &second).await);
    assert!(!complete(&database.pool, &second).await, "done is done");
}

#[tokio::test]
async fn an_effect_waits_for_the_one_before_it() {
    let database = TestDatabase::migrated().await;
    let mut plan = EffectPlan::new("d");
    let label = plan.push(add_label(1));
    plan.push_after(comment(1), Some(label));
    insert(&database.pool, plan).await;
    let first = claim(&database.pool, "a").await.unwrap();
    assert_eq!(first.kind, "add_label");
    assert!(claim(&database.pool, "b").await.is_none());
    assert!(complete(&database.pool, &first).await);
    assert_eq!(
        claim(&database.pool, "b").await.unwrap().kind,
        "create_comment"
    );
}

#[tokio::test]
async fn a_claim_takes_many_in_order_but_one_status_comment_of_a_run() {
    let database = TestDatabase::migrated().await;
    let run = Uuid::now_v7();
    let mut plan = EffectPlan::new("d");
    plan.push(add_label(1));
    plan.push(status(run, CommentPhase::Created));
    plan.push(status(run, CommentPhase::Started));
    plan.push(comment(2));
    insert(&database.pool, plan).await;
    let kinds = |claimed: &[ClaimedEffect]| -> Vec<String> {
        claimed.iter().map(|effect| effect.kind.clone()).collect()
    };
    let first = claim_many(&database.pool, "a", 10).await;
    assert_eq!(
        kinds(&first),
        ["add_label", "status_comment", "create_comment"]
    );
    assert!(claim_many(&database.pool, "b", 10).await.is_empty());
    assert!(complete(&database.pool, &first[1]).await);
    let second = claim_many(&database.pool, "b", 10).await;
    assert_eq!(kinds(&second), ["status_comment"]);
    assert!(second[0].id > first[1].id);
}

#[tokio::test]
async fn giving_up_takes_along_what_waits_for_it() {
    let database = TestDatabase::migrated().await;
    let mut plan = EffectPlan::new("d");
    let label = plan.push(add_label(1));
    plan.push_after(comment(1), Some(label));
    plan.push(add_label(2));
    insert(&database.pool, plan).await;
    let first = claim(&database.pool, "a").await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    let given_up = effects::give_up(&mut connection, &first, "no")
        .await
        .unwrap();
    assert_eq!(given_up.len(), 2);
    drop(connection);
    assert_eq!(
        claim(&database.pool, "a").await.unwrap().payload["thread"]["number"],
        2
    );
}

#[tokio::test]
async fn an_effect_wanted_twice_is_one_effect() {
    let database = TestDatabase::migrated().await;
    let plan = || {
        let mut plan = EffectPlan::new("d");
        plan.push(add_label(1));
        plan
    };
    assert_eq!(
        (
            insert(&database.pool, plan()).await,
            insert(&database.pool, plan()).await
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn status_comments_of_one_run_take_turns() {
    let database = TestDatabase::migrated().await;
    let (one, other) = (Uuid::new_v4(), Uuid::new_v4());
    let mut plan = EffectPlan::new("d");
    for effect in [
        status(one, CommentPhase::Created),
        status(one, CommentPhase::Started),
        status(other, CommentPhase::Created),
    ] {
        plan.push(effect);
    }
    insert(&database.pool, plan).await;
    let first = claim(&database.pool, "a").await.unwrap();
    assert_eq!(first.run_id, Some(one));
    assert_eq!(
        claim(&database.pool, "b").await.unwrap().run_id,
        Some(other)
    );
    assert!(claim(&database.pool, "c").await.is_none());
    assert!(complete(&database.pool, &first).await);
    assert_eq!(claim(&database.pool, "c").await.unwrap().run_id, Some(one));
}

#[tokio::test]
async fn many_executors_get_each_effect_once() {
    let database = TestDatabase::migrated().await;
    let mut plan = EffectPlan::new("d");
    (1..=40).for_each(|number| {
        plan.push(add_label(number));
    });
    insert(&database.pool, plan).await;
    let claims = (0..60).map(|index| {
        let pool = &database.pool;
        async move {
            claim(pool, &format!("executor-{index}"))
                .await
                .map(|effect| effect.id)
        }
    });
    let mut ids: Vec<i64> = futures::future::join_all(claims)
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(ids.len(), 40);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

/// L-19: either the effect or the delivery that reports its change records it, whichever of the two is last.
#[tokio::test]
async fn a_reported_change_is_recorded_by_whoever_comes_last() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    let mut plan = EffectPlan::new("d");
    plan.push(add_label(1));
    plan.push(add_label(2));
    insert(pool, plan).await;
    let claimed = claim_many(pool, "a", 2).await;
    let [reported_first, done_first] = claimed.as_slice() else {
        panic!("two effects: {claimed:?}");
    };
    let own = async |number: i64| {
        let thread = serde_json::json!(Thread::issue("o/r", number));
        snapshots::own_label_change(pool, &thread, "add_label", "need:input")
            .await
            .unwrap()
    };
    assert_eq!(own(1).await, Some(reported_first.id));
    assert_eq!(own(2).await, Some(done_first.id), "both are under way");

    let matched = snapshots::match_label_change(pool, reported_first.id, "first").await;
    assert!(matched.unwrap());
    assert!(complete(pool, reported_first).await);
    let reported = effect_context::is_reported(pool, reported_first.id).await;
    assert!(reported.unwrap(), "what completes it sees the report");

    let reported = effect_context::is_reported(pool, done_first.id).await;
    assert!(!reported.unwrap());
    assert!(complete(pool, done_first).await, "without a record");
    let matched = snapshots::match_label_change(pool, done_first.id, "second").await;
    assert!(!matched.unwrap(), "the delivery decides anew");
    assert_eq!(own(2).await, None, "and then records the change itself");
}
