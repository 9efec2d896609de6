// Command webapp is a deliberately vulnerable web application. FOR TESTS AND THE DEMO ONLY: it exists to be
// scanned. Never put it where anyone but a test can reach it.
//
// It leaks a Git configuration, an environment file, a database dump, a directory listing and a debug page; it
// lets anyone in with admin:admin, reflects a parameter, redirects anywhere, trusts every origin, serves files
// outside its root (an invented /etc/passwd, not the machine's) and names its version. All secrets are invented.
// It also counts what it was asked for, so that a test can tell how often a path was really scanned. With -then
// it changes after some requests: it throttles, refuses, or resets all connections.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", ":8080", "addresses to listen on, separated by commas; port 0 takes a free one, the same for all")
	delay := flag.Duration("delay", 0, "time to wait before every answer, for example 200ms")
	after := flag.Int("after", 0, "with -then: requests that are answered well before")
	then := flag.Int("then", 0, "status code of all further answers, for example 429; 1 resets connections; 0: never")
	flag.Parse()

	listeners, err := listenOn(strings.Split(*listen, ","))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listeners[0].Addr())

	server := &http.Server{Handler: changing(application(*delay), *after, *then), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, listener := range listeners {
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				log.Fatal(err)
			}
		}()
	}
	<-ctx.Done()
	_ = server.Close()
}

// listenOn listens on every address; those with port 0 share the port that the first one got.
func listenOn(addresses []string) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range addresses {
		if host, port, err := net.SplitHostPort(address); err == nil && port == "0" && len(listeners) > 0 {
			_, port, _ = net.SplitHostPort(listeners[0].Addr().String())
			address = net.JoinHostPort(host, port)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// changing answers `after` requests by the handler, and all further ones with a status code, or by a reset.
func changing(handler http.Handler, after, then int) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if then == 0 || r.URL.Path == "/requests" || count.Add(1) <= int64(after) {
			handler.ServeHTTP(w, r)
			return
		}
		if then != 1 {
			http.Error(w, http.StatusText(then), then)
			return
		}
		connection, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		if plain, ok := connection.(*net.TCPConn); ok {
			_ = plain.SetLinger(0)
		}
		_ = connection.Close()
	})
}

// application is the whole site, behind the delay, the counter and the telltale headers.
func application(delay time.Duration) http.Handler {
	var counter requestCounter
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", page("text/html", "<title>Acorn Shop</title><h1>Acorn Shop</h1><a href='/backup/'>backup</a>"))
	mux.HandleFunc("/.git/config", page("text/plain", gitConfig))
	mux.HandleFunc("/.env", page("text/plain", environmentFile))
	mux.HandleFunc("/backup/{$}", page("text/html", directoryListing))
	mux.HandleFunc("/backup/dump.sql", page("application/sql", databaseDump))
	mux.HandleFunc("/phpinfo.php", page("text/html", debugPage))
	mux.HandleFunc("/robots.txt", page("text/plain", "User-agent: *\nDisallow: /backup/\nDisallow: /admin\n"))
	mux.HandleFunc("/login", login)
	mux.HandleFunc("/search", reflect)
	mux.HandleFunc("/go", redirect)
	mux.HandleFunc("/api/profile", trustEveryOrigin)
	mux.HandleFunc("/download", download)
	mux.HandleFunc("/big", bigAnswer)
	mux.HandleFunc("/requests", counter.report)
	return counter.count(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		w.Header().Set("Server", "Acorn/1.4.2")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	}))
}

const gitConfig = `[core]
	repositoryformatversion = 0
	bare = false
[remote "origin"]
	url = https://deploy:not-a-real-token@git.example.com/acorn/shop.git
`

const environmentFile = `APP_ENV=production
APP_KEY=base64:bm90LWEtcmVhbC1rZXk=
DB_HOST=db.example.com
DB_USERNAME=acorn
DB_PASSWORD=not-a-real-password
`

const directoryListing = `<html><head><title>Index of /backup/</title></head><body>
<h1>Index of /backup/</h1><a href="../">../</a> <a href="dump.sql">dump.sql</a></body></html>`

const databaseDump = `-- MySQL dump 10.13  Distrib 8.0.36
CREATE TABLE users (id int, name varchar(64), password char(60));
INSERT INTO users VALUES (1, 'admin', 'not-a-real-hash');
`

const debugPage = `<html><head><title>phpinfo()</title></head><body><h1 class="p">PHP Version 7.4.3</h1>
<table><tr><td class="e">DOCUMENT_ROOT</td><td class="v">/var/www</td></tr></table></body></html>`

const inventedPasswords = "root:x:0:0:root:/root:/bin/sh\nacorn:x:1000:1000::/srv:/sbin/nologin\n"

func page(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		fmt.Fprint(w, body)
	}
}

func login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		page("text/html", `<form method="post"><input name="username"><input name="password" type="password"></form>`)(w, r)
		return
	}
	if r.FormValue("username") != "admin" || r.FormValue("password") != "admin" {
		http.Error(w, "Invalid credentials", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Set-Cookie", "acorn_session=not-a-real-session; Path=/")
	http.Redirect(w, r, "/admin", http.StatusFound)
}

func reflect(w http.ResponseWriter, r *http.Request) {
	page("text/html", "<p>No acorns found for "+r.URL.Query().Get("q")+"</p>")(w, r)
}

func redirect(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Query().Get("to"), http.StatusFound)
}

func trustEveryOrigin(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	page("application/json", `{"user": "guest"}`)(w, r)
}

func download(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Query().Get("file"), "../etc/passwd") {
		page("text/plain", inventedPasswords)(w, r)
		return
	}
	http.NotFound(w, r)
}

// bigAnswer sends as many bytes as asked for, at most 64 MiB.
func bigAnswer(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.Atoi(r.URL.Query().Get("bytes"))
	if err != nil || size < 0 || size > 64<<20 {
		http.Error(w, "bytes must be 0..67108864", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	chunk := strings.Repeat("acorn ", 1024)
	for ; size > 0; size -= len(chunk) {
		fmt.Fprint(w, chunk[:min(size, len(chunk))])
	}
}

// requestCounter counts requests by path; GET /requests tells them and is not counted itself.
type requestCounter struct {
	mu     sync.Mutex
	byPath map[string]int
}

func (c *requestCounter) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/requests" {
			c.mu.Lock()
			if c.byPath == nil {
				c.byPath = map[string]int{}
			}
			c.byPath[r.URL.Path]++
			c.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

func (c *requestCounter) report(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(c.byPath)
}
