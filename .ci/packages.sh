#!/bin/sh
# Sees to Debian's packages that the tests (`packages.sh test`) or the benchmark (`packages.sh bench`) need.
#
# Only what is missing is fetched. Nothing that it installs is started, now or at the next boot, and nothing
# is configured in /etc: the tests run servers of their own from temporary folders. A package that would
# make apt remove another one (Postfix, where Exim is the mail server) is not installed but unpacked into
# .build/debian, and run from there. So are the mail servers of which a machine can have only one and the
# tests want several.
set -eu
cd "$(dirname "$0")/.."
say() { echo "packages: $*"; }
stop() { say "$*" >&2; exit 1; }

unpacked=.build/debian
PATH=$PATH:/usr/sbin:/sbin

# package, and a file or command that shows that it is there
test_needs='postfix /usr/lib/postfix/sbin/master
dovecot-core /usr/lib/dovecot/auth
dovecot-imapd /usr/lib/dovecot/imap
dovecot-pop3d /usr/lib/dovecot/pop3
dovecot-lmtpd /usr/lib/dovecot/lmtp
dovecot-submissiond /usr/lib/dovecot/submission
exim4-daemon-light exim4
opensmtpd smtpctl
curl curl
swaks swaks
libnet-ssleay-perl /usr/share/doc/libnet-ssleay-perl
libauthen-sasl-perl /usr/share/doc/libauthen-sasl-perl
libdigest-hmac-perl /usr/share/doc/libdigest-hmac-perl
msmtp msmtp
nodejs node
npm npm
isync mbsync
fetchmail fetchmail
opendkim opendkim
openssl openssl
prometheus prometheus
systemd systemd-analyze'
bench_needs='gcc cc
libc6-dev /usr/include/stdio.h
haproxy haproxy
dovecot-core /usr/lib/dovecot/auth
dovecot-imapd /usr/lib/dovecot/imap'
never_installed=' exim4-daemon-light opensmtpd '

case ${1-} in
test) needs=$test_needs ;;
bench) needs=$bench_needs ;;
*) stop "usage: packages.sh test | bench" ;;
esac

there() {
    case $1 in
    /*) [ -e "$1" ] || [ -e "$unpacked$1" ] ;;
    *) command -v "$1" >/dev/null || [ -x "$unpacked/usr/bin/$1" ] || [ -x "$unpacked/usr/sbin/$1" ] ;;
    esac
}
missing=$(echo "$needs" | while read -r package sign; do there "$sign" || echo "$package"; done)
# shellcheck disable=SC2086
set -- $missing
[ $# -gt 0 ] || { say "all there"; exit 0; }

command -v apt-get >/dev/null || stop "missing: $*; this script knows Debian's apt only, install them by hand"
[ "$(id -u)" = 0 ] || stop "missing: $*; run this as root once, or: apt-get install $*"

export DEBIAN_FRONTEND=noninteractive
say "missing: $*"
apt-get update -qq

policy=/usr/sbin/policy-rc.d
restore() {
    rm -f "$policy"
    [ ! -e "$policy.mailweir" ] || mv "$policy.mailweir" "$policy"
}
quiet_install() {
    # invoke-rc.d asks this file whether a service may be started: for as long as we install, none may.
    [ ! -e "$policy" ] || mv "$policy" "$policy.mailweir"
    trap restore EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
    case " $* " in
    *' postfix '*) echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
    esac
    apt-get install -y -qq --no-install-recommends --no-remove "$@" >/dev/null
    trap - EXIT INT TERM
    restore
}
units() { # services that the packages brought
    for package in "$@"; do
        dpkg -L "$package" 2>/dev/null | sed -n 's#^\(/usr\)\{0,1\}/lib/systemd/system/\([^@/]*\.\(service\|socket\|timer\)\)$#\2#p'
    done
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
install=
looked_at=
sort_out() { # decides what becomes of a package: into `install`, or unpacked with all that it needs
    case " $looked_at " in *" $1 "*) return ;; esac
    looked_at="$looked_at $1"
    case $never_installed in
    *" $1 "*)
        say "unpacking $1 into $unpacked"
        unpack "$1" 'lib'
        return
        ;;
    esac
    removed=$(apt-get install -s --no-install-recommends "$1" 2>/dev/null | sed -n 's/^Remv \([^ ]*\).*/\1/p')
    if [ -z "$removed" ]; then
        install="$install $1"
        return
    fi
    # shellcheck disable=SC2086
    say "$1 would remove" $removed "from this machine: unpacking it into $unpacked instead"
    unpack "$1" ''
}
unpack() { # a package, and sort out those it depends on whose names begin with $2
    mkdir -p "$unpacked"
    rm -f "$unpacked/../$1"_*.deb
    (cd "$unpacked/.." && apt-get download -qq -o APT::Sandbox::User=root "$1")
    dpkg -x "$unpacked/../$1"_*.deb "$unpacked"
    for needed in $(apt-cache depends --no-recommends --no-suggests "$1" |
        sed -n "s/^ *\(Pre\)\{0,1\}Depends: \($2[^<]*\)\$/\2/p"); do
        installed "$needed" || sort_out "$needed"
    done
}
for package in "$@"; do sort_out "$package"; done
if [ -n "$install" ]; then
    say "installing$install; none of their services is started or enabled"
    before=$(mktemp)
    dpkg-query -W -f '${Package}\n' | sort > "$before"
    # shellcheck disable=SC2086
    quiet_install $install
    new=$(dpkg-query -W -f '${Package}\n' | sort | comm -13 "$before" -)
    rm -f "$before"
    if command -v systemctl >/dev/null; then
        # shellcheck disable=SC2046,SC2086
        services=$(units $(echo "$new" | grep -E '^(postfix|dovecot|haproxy|opendkim|prometheus|fetchmail|msmtp)' || true))
        # shellcheck disable=SC2086
        [ -z "$services" ] || systemctl disable --quiet $services 2>/dev/null || true
    fi
fi
