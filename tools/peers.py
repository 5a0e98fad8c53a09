"""Mail servers as peers for tests and demonstrations, never installed.

Their Debian packages are downloaded and unpacked beside the build, and run in a private mount namespace: an overlay of
the system's root, the unpacked packages and a temporary layer, entered with chroot. What they need (users, directories, fixed
paths) exists only there; the machine's own mail server is neither removed nor started nor read. Needs root.

    from peers import Peer
    with Peer("exim", share=[folder]) as peer:
        peer.write("/etc/exim4/exim4.conf", text)
        peer.run(["exim4", "-bV"])
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("TIDEGATE_PEERS", ROOT / "build/peers"))
PACKAGES = {"exim": ["exim4-daemon-light"], "postfix": ["postfix", "libsasl2-modules"], "opensmtpd": ["opensmtpd"]}
USERS = {
    "exim": [("Debian-exim", 21001)],
    "postfix": [("postfix", 21002), ("postdrop", 21003)],
    "opensmtpd": [("opensmtpd", 21004), ("opensmtpq", 21005)],
}
ACCOUNTS = [("alice", 22001), ("bob", 22002), ("carol", 22003), ("dave", 22004)]


class PeerError(Exception):
    """Why a peer cannot be had here."""


def fetch(name):
    """Downloads and unpacks what `name` needs beyond what this machine has; returns the unpacked tree."""
    tree, debs = CACHE / name / "root", CACHE / name / "debs"
    if (CACHE / name / "complete").exists():
        return tree
    if os.geteuid() != 0:
        raise PeerError("peers need root: an overlay root in a private mount namespace")
    shutil.rmtree(CACHE / name, ignore_errors=True)
    (debs / "partial").mkdir(parents=True)
    tree.mkdir(parents=True)
    # --download-only: apt resolves what is missing, fetches it, and changes nothing
    command = ["apt-get", "-qq", "-y", "--download-only", "--no-install-recommends", "-o", f"Dir::Cache::archives={debs}",
               "-o", "APT::Sandbox::User=root", "install", *PACKAGES[name]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True, check=False)
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(debs.glob("*.deb"))
    if result.returncode or not found:
        raise PeerError(f"apt-get could not download {name}: {result.stderr.strip()}")
    for deb in found:
        subprocess.run(["dpkg-deb", "-x", deb, tree], check=True)
    for top in ("bin", "sbin", "lib", "lib64"):
        # a directory here would hide the system's link into /usr
        if (tree / top).is_dir():
            shutil.copytree(tree / top, tree / "usr" / top, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(tree / top)
    (CACHE / name / "complete").touch()
    return tree


class Peer:
    """One running overlay. Everything that was started in it ends with it."""

    def __init__(self, name, share=()):
        self.name, self.share = name, [pathlib.Path(p) for p in share]
        self.base = None
        self.holder = None

    def __enter__(self):
        tree = fetch(self.name)
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="tidegate-peer-"))
        binds = "\n".join(f'mkdir -p "$m{p}"; mount --bind "{p}" "$m{p}"' for p in self.share)
        # The upper layer is a tmpfs: an overlay cannot lie on another overlay. The shell holds the namespaces until its input ends;
        # the pid namespace takes every process of the peer with it.
        script = f'''
set -e
b="{self.base}"; m="$b/root"
mount -t tmpfs -o mode=755 tidegate "$b"
mkdir -p "$b/upper" "$b/work" "$m"
cp -a "{tree}" "$b/packages" # one lower layer may not lie inside another
mount -t overlay -o "lowerdir=$b/packages:/,upperdir=$b/upper,workdir=$b/work" overlay "$m"
mount --rbind /dev "$m/dev"
mount -t proc proc "$m/proc"
{binds}
echo ready
read -r _ || true
'''
        self.holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", script],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.holder.stdout.readline().strip() != "ready":
            error = self.holder.stderr.read().strip()
            self.__exit__()
            raise PeerError(f"no overlay root for {self.name}: {error}")
        child = pathlib.Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()
        self.inside = ["nsenter", "--mount", "--pid", "--target", child[0], "chroot", str(self.base / "root")]
        self._users()
        return self

    def __exit__(self, *_):
        if self.holder:
            self.holder.stdin.close()
            try:
                self.holder.wait(10)
            except subprocess.TimeoutExpired:
                self.holder.kill()
                self.holder.wait()
        if self.base:
            shutil.rmtree(self.base, ignore_errors=True)

    def _users(self):
        lines, groups = [], []
        for user, number in USERS[self.name] + ACCOUNTS:
            lines.append(f"{user}:x:{number}:{number}::/home/{user}:/bin/sh")
            groups.append(f"{user}:x:{number}:")
        self.shell(f"sed -i -E '/^({'|'.join(u for u, _ in USERS[self.name] + ACCOUNTS)}):/d' /etc/passwd /etc/group")
        self.shell("cat >>/etc/passwd", "\n".join(lines) + "\n")
        self.shell("cat >>/etc/group", "\n".join(groups) + "\n")
        for user, _ in ACCOUNTS:
            self.shell(f"mkdir -p /home/{user}; chown {user}:{user} /home/{user}")

    def run(self, command, data=None, user=None, check=True, timeout=120):
        """Runs a command inside; data: octets for its standard input."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
        result = subprocess.run([*self.inside, *become, *map(str, command)], input=data, capture_output=True, check=False, timeout=timeout)
        if check and result.returncode:
            text = (result.stderr + result.stdout).decode(errors="replace").strip()
            raise PeerError(f"{command[0]} in {self.name}: status {result.returncode}: {text}")
        return result

    def shell(self, script, data=""):
        return self.run(["sh", "-c", script], data.encode())

    def write(self, path, text, mode=0o644, owner="root:root"):
        self.shell(f'mkdir -p "$(dirname "{path}")"; cat >"{path}"; chmod {mode:o} "{path}"; chown {owner} "{path}"', text)

    def read(self, path):
        return self.run(["cat", path]).stdout.decode(errors="replace")

    def start(self, command, log):
        """A long-running process inside; ends with the overlay."""
        with open(log, "ab") as out:
            return subprocess.Popen([*self.inside, *map(str, command)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)


EXIM_CONF = '''
# A hosting server: everything leaves through the relay.
primary_hostname = web1.hosting.example
qualify_domain = hosting.example
disable_ipv6 = true
tls_advertise_hosts =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {local_port}
acl_smtp_rcpt = accept
acl_smtp_data = accept
untrusted_set_sender = *
keep_environment =
smtp_accept_max = 100
queue_run_max = 10
begin acl
begin routers
smarthost:
  driver = manualroute
  domains = *
  transport = relay
  route_list = * localhost::{port} byname
  self = send
begin transports
relay:
  driver = smtp
  hosts_require_tls = *
  hosts_require_auth = *
  tls_verify_certificates = {certificate}
  tls_verify_hosts = *
begin retry
* * F,1h,2s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^{server}^{password}
'''


def configure_exim(peer, port, certificate, server, password, local_port):
    """Makes the overlay a hosting server whose smarthost is the relay on localhost:port."""
    # ^ separates the strings in client_send; one inside is written twice
    text = EXIM_CONF.format(port=port, certificate=certificate, server=server, password=password.replace("^", "^^"), local_port=local_port)
    peer.shell("mkdir -p /var/spool/exim4/input /var/log/exim4; chown -R Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4")
    peer.write("/etc/exim4/exim4.conf", text, 0o640, "root:Debian-exim")
    peer.run(["exim4", "-bV"])


POSTFIX_CONF = '''
compatibility_level = 3.6
myhostname = web2.hosting.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = /var/spool/postfix
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = /var/log/postfix.log
relayhost = [localhost]:{port}
smtp_tls_security_level = verify
smtp_tls_CAfile = {certificate}
smtp_tls_verify_cert_match = hostname
smtp_host_lookup = native
smtp_sasl_auth_enable = yes
smtp_sasl_tls_security_options = noanonymous
smtp_sasl_password_maps = texthash:/etc/postfix/relay_password
alias_maps =
'''


def configure_postfix(peer, port, certificate, server, password, local_port):
    """The same for Postfix; local_port takes SMTP from this machine. Start it with ["postfix", "start-fg"]."""
    peer.write("/etc/postfix/main.cf", POSTFIX_CONF.format(port=port, certificate=certificate))
    peer.write("/etc/postfix/relay_password", f"[localhost]:{port} {server}:{password}\n", 0o600)
    # Debian's master.cf as shipped, but nothing in a chroot of its own and SMTP on a port of ours
    peer.shell("for d in /usr/share/postfix /etc/postfix; do for f in master.cf dynamicmaps.cf postfix-files; do "
               "[ -e /etc/postfix/$f ] || [ ! -e $d/$f.dist ] || cp $d/$f.dist /etc/postfix/$f; "
               "[ -e /etc/postfix/$f ] || [ ! -e $d/$f ] || cp $d/$f /etc/postfix/$f; done; done; touch /etc/postfix/dynamicmaps.cf")
    peer.shell(f"sed -i -E 's/^smtp( +inet)/127.0.0.1:{local_port}\\1/; s/^([^ #]+ +(inet|unix|fifo|pass) +[^ ]+ +[^ ]+ +)y/\\1n/' /etc/postfix/master.cf")
    peer.shell("mkdir -p /var/spool/postfix /var/lib/postfix; chown postfix /var/lib/postfix; "
               "postfix -c /etc/postfix set-permissions create-missing >/dev/null 2>&1 || true")
    peer.shell("chgrp postdrop /usr/sbin/postdrop /usr/sbin/postqueue /var/spool/postfix/maildrop /var/spool/postfix/public; "
               "chmod 2755 /usr/sbin/postdrop /usr/sbin/postqueue; chmod 1730 /var/spool/postfix/maildrop; chmod 2710 /var/spool/postfix/public")
    peer.run(["postfix", "check"])
