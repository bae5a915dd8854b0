//! Every message comes back as it went.

use proptest::prelude::*;

use super::*;

fn layers() -> impl Strategy<Value = Layers> {
    any::<[i32; 5]>().prop_map(|[cgroup, clone_into_cgroup, mark, children_file, oom_protection]| Layers {
        cgroup,
        clone_into_cgroup,
        mark,
        children_file,
        oom_protection,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop::sample::select(Step::ALL.to_vec())
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        layers().prop_map(Fact::Ready),
        Just(Fact::Alive),
        any::<(u32, u32)>().prop_map(|(worker, pid)| Fact::Spawned { worker, pid }),
        (any::<(u32, i32)>(), step()).prop_map(|((worker, errno), step)| Fact::Failed { worker, step, errno }),
        any::<(u32, u32)>().prop_map(|(worker, pid)| Fact::Escaped { worker, pid }),
        any::<(u32, i32, i32, u32)>().prop_map(|(worker, code, status, escaped)| Fact::Gone {
            worker,
            code,
            status,
            escaped
        }),
    ]
}

fn keeper_order() -> impl Strategy<Value = KeeperOrder> {
    prop_oneof![
        any::<(u64, u64, u32, u32, bool)>().prop_map(|(hard, soft, host, grace_ms, cgroup)| {
            KeeperOrder::Begin { mark: Mark { hard, soft }, host, grace_ms, cgroup }
        }),
        any::<(u32, bool)>().prop_map(|(guardian, pidns)| KeeperOrder::Guard { guardian, pidns }),
        any::<u32>().prop_map(|guardian| KeeperOrder::Replace { guardian }),
    ]
}

fn spawn(strings: &[u8]) -> Spawn<'_> {
    Spawn {
        worker: 7,
        on_escape: OnEscape::Report,
        no_new_privileges: true,
        is_quick: true,
        user: Some((1000, 100)),
        open_files: 1024,
        address_space: 1 << 33,
        fds: 6,
        joins: 2,
        args: 3,
        env: 40,
        strings: Strings::Inline(strings),
    }
}

proptest! {
    #[test]
    fn facts_come_back_as_they_went(fact in fact()) {
        let mut buffer = [0; MAX_HEAD];
        prop_assert_eq!(Fact::decode(fact.encode(&mut buffer).unwrap()), Some(fact));
    }

    #[test]
    fn keeper_orders_come_back_as_they_went(order in keeper_order()) {
        let mut buffer = [0; MAX_HEAD];
        prop_assert_eq!(KeeperOrder::decode(order.encode(&mut buffer).unwrap()), Some(order));
    }

    #[test]
    fn spawn_orders_come_back_as_they_went(strings: Vec<u8>) {
        let order = Order::Spawn(spawn(&strings));
        let mut buffer = vec![0; MAX_HEAD + strings.len()];
        prop_assert_eq!(Order::decode(order.encode(&mut buffer).unwrap()), Some(order));
    }

    #[test]
    fn adoptions_come_back_as_they_went(worker in 1..=MAX_WORKER, template in 1..=MAX_WORKER, pid: u32, own_leaf: bool) {
        let order = Order::Adopt(Adopt { worker, on_escape: OnEscape::Report, template, pid, own_leaf });
        let mut buffer = [0; MAX_HEAD];
        prop_assert_eq!(Order::decode(order.encode(&mut buffer).unwrap()), Some(order));
    }

    #[test]
    fn garbage_is_refused_without_a_panic(garbage: Vec<u8>) {
        let _any = (Order::decode(&garbage), Fact::decode(&garbage), KeeperOrder::decode(&garbage), KeeperFact::decode(&garbage));
    }
}

#[test]
fn neither_a_cut_nor_a_tail_is_a_message() {
    let mut buffer = [0; MAX_HEAD];
    let length = Order::Spawn(spawn(b"/bin/true\0")).encode(&mut buffer).unwrap().len();
    for cut in 0..length {
        assert_eq!(Order::decode(&buffer[..cut]), None, "{cut}");
    }
    assert_eq!(Order::decode(&buffer[..length + 1]), None);
}

#[test]
fn a_head_fits_its_buffer() {
    assert!(Order::Spawn(spawn(b"")).encode(&mut [0; MAX_HEAD]).is_some());
}
