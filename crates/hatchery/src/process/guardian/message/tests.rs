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
        Just(Fact::Keeping),
        any::<(u32, u32, bool, u32)>().prop_map(|(worker, pid, has_input, others)| Fact::Held {
            worker,
            pid,
            has_input,
            others
        }),
    ]
}

fn keeper_fact() -> impl Strategy<Value = KeeperFact> {
    prop_oneof![
        layers().prop_map(KeeperFact::Kept),
        any::<(u32, u32)>().prop_map(|(guardian, pid)| KeeperFact::Guarding { guardian, pid }),
        (any::<(u32, i32)>(), step()).prop_map(|((guardian, errno), step)| KeeperFact::Refused {
            guardian,
            step,
            errno
        }),
        Just(KeeperFact::Keeping),
        any::<u32>().prop_map(|speech| KeeperFact::Welcome { speech }),
        any::<u32>().prop_map(|host| KeeperFact::Hosted { host }),
        (any::<(u32, u32)>(), layers()).prop_map(|((keeper, guardian), layers)| KeeperFact::Attached {
            keeper,
            guardian,
            layers
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
        Just(KeeperOrder::Keep),
        Just(KeeperOrder::Attach),
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
    fn keeper_facts_come_back_as_they_went(fact in keeper_fact()) {
        let mut buffer = [0; MAX_HEAD];
        prop_assert_eq!(KeeperFact::decode(fact.encode(&mut buffer).unwrap()), Some(fact));
    }

    #[test]
    fn orders_to_keep_come_back_as_they_went(worker in 1..=MAX_WORKER, has_input: bool) {
        for order in [Order::Keep { worker, has_input }, Order::CloseInput { worker }, Order::Attach] {
            let mut buffer = [0; MAX_HEAD];
            prop_assert_eq!(Order::decode(order.encode(&mut buffer).unwrap()), Some(order));
        }
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

fn numbers(message: &impl Encode) -> Vec<u32> {
    let mut buffer = [0; MAX_HEAD];
    let bytes = message.encode(&mut buffer).unwrap();
    bytes.as_chunks().0.iter().map(|number| u32::from_ne_bytes(*number)).collect()
}

/// A pair that is kept may be older than the host that comes to it. If this fails, [`SPEECH`] is to be raised; what is said before it is
/// known never changes.
#[test]
fn what_is_said_to_a_next_host_is_what_its_speech_stands_for() {
    assert_eq!(numbers(&KeeperFact::Welcome { speech: 9 }), [5, 9]);
    assert_eq!(numbers(&KeeperFact::Hosted { host: 9 }), [6, 9]);
    assert_eq!(SPEECH, 1);
    let layers = Layers { cgroup: 21, clone_into_cgroup: 22, mark: 23, children_file: 24, oom_protection: 25 };
    assert_eq!(numbers(&KeeperOrder::Attach), [5]);
    assert_eq!(numbers(&KeeperOrder::Replace { guardian: 0 }), [3, 0]);
    assert_eq!(numbers(&KeeperFact::Attached { keeper: 1, guardian: 2, layers }), [7, 1, 2, 21, 22, 23, 24, 25]);
    assert_eq!(numbers(&Order::Signal { worker: 1, signal: 2 }), [2, 1, 2]);
    assert_eq!(numbers(&Order::End { worker: 1 }), [3, 1]);
    assert_eq!(numbers(&Order::Ask), [4]);
    assert_eq!(numbers(&Order::CloseInput { worker: 1 }), [7, 1]);
    assert_eq!(numbers(&Fact::Ready(layers)), [1, 21, 22, 23, 24, 25]);
    assert_eq!(numbers(&Fact::Escaped { worker: 1, pid: 2 }), [4, 1, 2]);
    assert_eq!(numbers(&Fact::Gone { worker: 1, code: 2, status: 3, escaped: 4 }), [5, 1, 2, 3, 4]);
    assert_eq!(numbers(&Fact::Alive), [6]);
    assert_eq!(numbers(&Fact::Held { worker: 1, pid: 2, has_input: true, others: 4 }), [8, 1, 2, 1, 4]);
}
