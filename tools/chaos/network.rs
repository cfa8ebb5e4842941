//! A network namespace that the engine is put into, with one cable to the targets, which loses packets.

use std::{net::Ipv4Addr, process::Command};

use anyhow::Result;

use crate::disk::{is_root, run};

pub struct Namespace {
    pub name: String,
    /// The targets' end of the cable.
    pub host: Ipv4Addr,
}

impl Namespace {
    /// Why there can be none.
    pub fn obstacle() -> Option<String> {
        if !is_root() {
            return Some("a network namespace needs root".to_owned());
        }
        match Self::make() {
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// Of this process.
    pub fn own_name() -> String {
        format!("chaos{}", std::process::id())
    }

    pub fn make() -> Result<Self> {
        let id = std::process::id();
        // Of those that nobody routes, and hardly anybody uses.
        let host = Ipv4Addr::new(198, 19, (id >> 6) as u8, ((id & 63) << 2) as u8 | 1);
        let inner = Ipv4Addr::from_bits(host.to_bits() + 1);
        let made = Self { name: Self::own_name(), host };
        let (name, near, far) = (&made.name, format!("ch{id}a"), format!("ch{id}b"));
        // The kernel may not have removed the cable of the installation before yet.
        let _ = ip(&["link", "del", &near]);
        ip(&["netns", "add", name])?;
        ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name])?;
        ip(&["addr", "add", &format!("{host}/30"), "dev", &near])?;
        ip(&["link", "set", &near, "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{inner}/30"), "dev", &far])?;
        ip(&["-n", name, "link", "set", &far, "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        // Whether packets can be lost at all.
        made.lose(1, 50)?;
        made.deliver()?;
        Ok(made)
    }

    /// So many of a hundred packets to a port are lost.
    pub fn lose(&self, port: u16, percent: u32) -> Result<()> {
        let (port, share) = (port.to_string(), format!("{:.2}", f64::from(percent) / 100.0));
        let mut arguments = vec!["-A", "OUTPUT", "-p", "tcp", "--dport", &port];
        if percent < 100 {
            arguments.extend(["-m", "statistic", "--mode", "random", "--probability", &share]);
        }
        arguments.extend(["-j", "DROP"]);
        self.iptables(&arguments)
    }

    /// All packets arrive again.
    pub fn deliver(&self) -> Result<()> {
        self.iptables(&["-F", "OUTPUT"])
    }

    fn iptables(&self, arguments: &[&str]) -> Result<()> {
        run(Command::new("ip").args(["netns", "exec", &self.name, "iptables", "-w"]).args(arguments))
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // With it goes its end of the cable, and with that the other.
        let _ = ip(&["netns", "del", &self.name]);
    }
}
