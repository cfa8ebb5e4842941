//! A network namespace for the engine, with one virtual cable to the targets that can lose packets.

use std::{net::Ipv4Addr, process::Command};

use anyhow::Result;

use crate::disk::{is_root, run};

pub struct Namespace {
    pub name: String,
    /// The targets' end of the cable.
    pub host: Ipv4Addr,
}

impl Namespace {
    /// Why a namespace cannot be created.
    pub fn obstacle() -> Option<String> {
        if !is_root() {
            return Some("a network namespace needs root".to_owned());
        }
        match Self::make() {
            Ok(_) => None,
            Err(error) => Some(format!("{error:#}")),
        }
    }

    /// The namespace's name for this process.
    pub fn own_name() -> String {
        format!("chaos{}", std::process::id())
    }

    pub fn make() -> Result<Self> {
        let id = std::process::id();
        // From a range that is not routed and hardly used.
        let host = Ipv4Addr::new(198, 19, (id >> 6) as u8, ((id & 63) << 2) as u8 | 1);
        let inner = Ipv4Addr::from_bits(host.to_bits() + 1);
        let made = Self { name: Self::own_name(), host };
        let (name, near, far) = (&made.name, format!("ch{id}a"), format!("ch{id}b"));
        // The kernel may not have removed the cable of the previous installation yet.
        let _ = ip(&["link", "del", &near]);
        ip(&["netns", "add", name])?;
        ip(&["link", "add", &near, "type", "veth", "peer", "name", &far, "netns", name])?;
        ip(&["addr", "add", &format!("{host}/30"), "dev", &near])?;
        ip(&["link", "set", &near, "up"])?;
        ip(&["-n", name, "addr", "add", &format!("{inner}/30"), "dev", &far])?;
        ip(&["-n", name, "link", "set", &far, "up"])?;
        ip(&["-n", name, "link", "set", "lo", "up"])?;
        // Test whether packets can be dropped at all.
        made.lose(1, 50)?;
        made.deliver()?;
        Ok(made)
    }

    /// Drops a percentage of the packets to a port.
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
        // Deleting the namespace deletes its end of the cable, and with it the other end.
        let _ = ip(&["netns", "del", &self.name]);
    }
}
