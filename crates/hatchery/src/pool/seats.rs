//! Which seats a pool has, and how the tasks that keep them are reached: plain data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tokio::sync::mpsc;

use super::seat::Order;

/// What is known of the seats, besides who sits there.
#[derive(Default)]
pub(super) struct Seats {
    /// Which there are to be: without gaps, unless one was given up.
    pub(super) wanted: BTreeSet<usize>,
    /// How to reach the task of each: also of those that are being cleared.
    pub(super) orders: BTreeMap<usize, mpsc::UnboundedSender<Order>>,
    /// Of the last life in each.
    pub(super) generations: HashMap<usize, u64>,
}

/// Why a seat is not given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotGivenUp {
    /// It is no more.
    Gone,
    /// There is no other.
    Last,
}

impl Seats {
    /// There are to be so many: of those that are too many the last go, and the lowest free ones come. Says how many there were.
    pub(super) fn resize(&mut self, wanted: usize) -> usize {
        let from = self.wanted.len();
        while self.wanted.len() > wanted {
            self.wanted.pop_last();
        }
        let free: Vec<usize> =
            (0..).filter(|number| !self.wanted.contains(number)).take(wanted - self.wanted.len()).collect();
        self.wanted.extend(free);
        from
    }

    /// Tells each task whether its seat is wanted, and gives the links of those seats that have none yet.
    pub(super) fn settle(&mut self) -> Vec<(usize, mpsc::UnboundedReceiver<Order>)> {
        for (number, orders) in &self.orders {
            let order = if self.wanted.contains(number) { Order::Refill } else { Order::Clear };
            let _it_is_gone = orders.send(order);
        }
        let missing: Vec<usize> =
            self.wanted.iter().copied().filter(|number| !self.orders.contains_key(number)).collect();
        missing.into_iter().map(|number| (number, self.link(number))).collect()
    }

    /// There is to be one fewer: not this one, whose worker is ended. Says how many are left.
    pub(super) fn give_up(&mut self, seat: usize) -> Result<usize, NotGivenUp> {
        match self.wanted.contains(&seat) {
            false => return Err(NotGivenUp::Gone),
            true if self.wanted.len() == 1 => return Err(NotGivenUp::Last),
            true => self.wanted.remove(&seat),
        };
        self.order(seat, Order::Restart);
        Ok(self.wanted.len())
    }

    /// A way to reach another task of this seat, as the first has failed. `None`: the seat is not wanted any more.
    pub(super) fn link_again(&mut self, seat: usize) -> Option<mpsc::UnboundedReceiver<Order>> {
        if self.wanted.contains(&seat) {
            return Some(self.link(seat));
        }
        self.orders.remove(&seat);
        None
    }

    /// A way to reach the task of this seat.
    fn link(&mut self, seat: usize) -> mpsc::UnboundedReceiver<Order> {
        let (orders, obeyed) = mpsc::unbounded_channel();
        self.orders.insert(seat, orders);
        obeyed
    }

    /// Tells the task of this seat, if there is one.
    pub(super) fn order(&self, seat: usize, order: Order) {
        if let Some(orders) = self.orders.get(&seat) {
            let _it_is_gone = orders.send(order);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(seats: &Seats) -> Vec<usize> {
        seats.wanted.iter().copied().collect()
    }

    #[test]
    fn the_last_go_first_and_a_gap_is_filled_first() {
        let mut seats = Seats::default();
        assert_eq!((seats.resize(4), wanted(&seats)), (0, vec![0, 1, 2, 3]));
        seats.wanted.remove(&1);
        assert_eq!((seats.resize(3), wanted(&seats)), (3, vec![0, 2, 3]), "as many as there are");
        assert_eq!((seats.resize(2), wanted(&seats)), (3, vec![0, 2]));
        assert_eq!((seats.resize(4), wanted(&seats)), (2, vec![0, 1, 2, 3]));
    }

    #[test]
    fn each_task_is_told_and_new_seats_are_linked() {
        let mut seats = Seats::default();
        seats.resize(2);
        let mut links = seats.settle();
        assert_eq!(links.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1]);
        seats.resize(1);
        assert!(seats.settle().is_empty());
        let mut told = |seat: usize| links[seat].1.try_recv().unwrap();
        assert!(matches!((told(0), told(1)), (Order::Refill, Order::Clear)));
    }

    #[test]
    fn one_that_is_given_up_is_neither_the_last_nor_gone_already() {
        let mut seats = Seats::default();
        seats.resize(2);
        let mut links = seats.settle();
        assert_eq!(seats.give_up(1), Ok(1));
        assert!(matches!(links[1].1.try_recv(), Ok(Order::Restart)));
        assert_eq!((seats.give_up(1), seats.give_up(0)), (Err(NotGivenUp::Gone), Err(NotGivenUp::Last)));
    }

    #[test]
    fn a_seat_that_is_not_wanted_any_more_is_not_kept_again() {
        let mut seats = Seats::default();
        seats.resize(2);
        let _links = seats.settle();
        seats.resize(1);
        assert!(seats.settle().is_empty());
        assert!(seats.link_again(1).is_none() && seats.link_again(0).is_some());
        seats.resize(2);
        assert_eq!(seats.settle().len(), 1, "it is a new one");
    }
}
