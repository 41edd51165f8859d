//! Names of targets. Alone in its program: a child that another test is just starting would hold a lock for a moment longer.

use bootstrap::CacheFolder;
use bootstrap::runs::{NameError, holder_of, holders, take_name};

#[test]
fn a_name_belongs_to_one_at_a_time() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cache = CacheFolder::at(folder.path().to_owned());
    let held = take_name(&cache, "mine", "run-1").expect("the name is free");
    assert!(matches!(
        take_name(&cache, "mine", "run-2"),
        Err(bootstrap::Error::Name(NameError::Taken(name))) if name == "mine"
    ));
    let holder = holder_of(&cache, "mine").expect("somebody has it");
    assert_eq!(
        (holder.run_id.as_str(), holder.pid),
        ("run-1", std::process::id())
    );
    let other = take_name(&cache, "another", "run-3").expect("the name is free");
    let names = || -> Vec<String> {
        holders(&cache)
            .into_iter()
            .map(|holder| holder.name)
            .collect()
    };
    assert_eq!(names(), ["another", "mine"]);
    drop(held);
    assert_eq!(holder_of(&cache, "mine"), None);
    let again = take_name(&cache, "mine", "run-4").expect("the name is free again");
    assert_eq!(
        holder_of(&cache, "mine").map(|holder| holder.run_id),
        Some("run-4".to_owned())
    );
    drop((again, other));
    assert!(names().is_empty());
}

/// Looking at a name takes its lock for a moment; nobody who wants the name may mistake that for a holder.
#[test]
fn who_only_looks_is_in_nobodys_way() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let cache = CacheFolder::at(folder.path().to_owned());
    let looking = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while looking.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = holders(&cache);
                }
            });
        }
        let refused: Vec<_> = (0..200)
            .filter_map(|number| take_name(&cache, "looked-at", &format!("run-{number}")).err())
            .collect();
        looking.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(refused.is_empty(), "{refused:?}");
    });
}
