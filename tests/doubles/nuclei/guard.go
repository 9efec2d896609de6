package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"regexp"
	"time"
)

// localRanges are what -lna denies.
var localRanges = []string{
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "::1/128", "64:ff9b::/96", "100::/64", "2001::/32",
	"2001:10::/28", "2001:20::/28", "2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8",
}

// hostError is a failure to reach a host. A permanent one (refused, unresolvable, denied) makes the scan skip
// the host at once, any other only after -mhe of them.
type hostError struct {
	cause     string // as -elog tells it
	chain     string // what lies beneath, in the log line of the skipped host
	permanent bool
}

func (e *hostError) Error() string { return e.cause }

// guard dials, and refuses denied addresses when they are dialed, so that neither a name nor a redirect gets
// around it. A denied name is not among them: only -eh's ranges and addresses hold here.
type guard struct {
	denied    []netip.Prefix
	dialer    net.Dialer
	resolvers []string
	folder    string
}

// newGuard also makes the temporary folder that Nuclei's dialer needs: a read-only TMPDIR is fatal.
func newGuard(opts *options) (*guard, error) {
	if _, err := os.ReadDir(os.TempDir()); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "nuclei")
	if err != nil {
		return nil, err
	}
	g := &guard{folder: folder, dialer: net.Dialer{Timeout: time.Duration(opts.timeout) * time.Second}}
	if opts.resolvers != "" {
		if g.resolvers, err = readLines(opts.resolvers); err != nil {
			return nil, err
		}
	}
	entries := opts.excludeHosts
	if opts.restrictLocal {
		entries = append(append([]string{}, entries...), localRanges...)
	}
	for _, entry := range entries {
		if prefix, ok := parseRange(entry); ok {
			g.denied = append(g.denied, prefix)
		}
	}
	return g, nil
}

func (g *guard) close() { _ = os.RemoveAll(g.folder) }

func parseRange(entry string) (netip.Prefix, bool) {
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return prefix, true
	}
	if address, err := netip.ParseAddr(entry); err == nil {
		return netip.PrefixFrom(address, address.BitLen()), true
	}
	return netip.Prefix{}, false
}

// excluded says whether -eh takes a target out of the list. A range is compared with the address, anything else,
// a single address included, is the host or a regular expression that is looked for anywhere in host and port: the
// exclusion of 10.0.0.1 drops 10.0.0.15 as well.
func excluded(host, hostPort string, entries []string) bool {
	address, notAnAddress := netip.ParseAddr(host)
	for _, entry := range entries {
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			if notAnAddress == nil && prefix.Contains(address.Unmap()) {
				return true
			}
			continue
		}
		if _, own := hostOf(entry); own == hostPort {
			return true
		}
		if pattern, err := regexp.Compile(entry); err == nil && pattern.MatchString(hostPort) {
			return true
		}
	}
	return false
}

func (g *guard) allows(address netip.Addr) bool {
	for _, prefix := range g.denied {
		if prefix.Contains(address.Unmap()) {
			return false
		}
	}
	return true
}

// lookup asks the servers of -r, and the system's resolver where they have no answer.
func (g *guard) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	for _, server := range g.resolvers {
		own := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return g.dialer.DialContext(ctx, network, server)
		}}
		if addresses, err := own.LookupNetIP(ctx, "ip", host); err == nil && len(addresses) > 0 {
			return addresses, nil
		}
	}
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

func (g *guard) dial(ctx context.Context, network, endpoint string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return nil, &hostError{cause: err.Error(), permanent: true}
	}
	addresses, err := g.lookup(ctx, host)
	if err != nil || len(addresses) == 0 {
		return nil, &hostError{cause: "no address found for host", chain: "got err while executing", permanent: true}
	}
	allowed := false
	var last error
	for _, address := range addresses {
		if !g.allows(address) {
			continue
		}
		allowed = true
		var conn net.Conn
		if conn, last = g.dialer.DialContext(ctx, network, net.JoinHostPort(address.Unmap().String(), port)); last == nil {
			return conn, nil
		}
	}
	if !allowed {
		return nil, errDenied
	}
	var timeout net.Error
	if errors.As(last, &timeout) && timeout.Timeout() {
		return nil, &hostError{cause: "i/o timeout"}
	}
	return nil, &hostError{cause: "port closed or filtered", chain: "connection refused", permanent: true}
}

var errDenied = &hostError{cause: `cause="denied address found for host"`, permanent: true}
