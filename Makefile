# HDMS. The targets that people type:
#
#   make deps      installs what building, testing and the demo need (Debian packages; asks sudo when not root)
#   make           builds everything into build/
#   make install   installs extension, server, device program and tool (PREFIX=/usr/local, PG_CONFIG=pg_config)
#   make demo      shows the storing flow on real FHIR data, in a temporary PostgreSQL  (DATA=DIR, KEEP=1);
#                  ACT=trust: forgery, loss and old backups, and how they are found and repaired
#   make check     runs all tests
#   make bench     measures, each figure beside its yardstick
#   make lint      compiler warnings of gcc and clang, cppcheck, clang-tidy
#   make docs      compares the names in README.md and docs/ with what there is
#   make clean     removes build/
#   make help      this list

PG_CONFIG ?= $(lastword pg_config $(sort $(wildcard /usr/lib/postgresql/*/bin/pg_config)))
PREFIX ?= /usr/local
DESTDIR ?=
VARIANT ?= plain
export PG_CONFIG

all: protocol server node_agent extension

deps:
	tools/deps.sh

protocol:
	+$(MAKE) -C protocol VARIANT=$(VARIANT)

server: protocol
	+$(MAKE) -C server VARIANT=$(VARIANT)

node_agent: protocol
	+$(MAKE) -C node_agent VARIANT=$(VARIANT)

extension: protocol
	+$(MAKE) -f extension/pgxs.mk

install: all
	$(MAKE) -f extension/pgxs.mk install DESTDIR=$(DESTDIR)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(PREFIX)/share/doc/hdms $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/systemd/user
	install build/plain/hdms-server build/plain/hdms-node build/plain/hdms-tool $(DESTDIR)$(PREFIX)/bin
	install -m 644 build/plain/libhdms_node.a build/plain/libhdms_protocol.a $(DESTDIR)$(PREFIX)/lib
	install -m 644 node_agent/hdms_node.h $(DESTDIR)$(PREFIX)/include
	install -m 644 packaging/*.conf README.md docs/*.md docs/*.svg $(DESTDIR)$(PREFIX)/share/doc/hdms
	install -m 644 packaging/systemd/hdms-server.service $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 packaging/systemd/hdms-node.service $(DESTDIR)$(PREFIX)/lib/systemd/user

check: deps
	tests/run.sh

demo: deps
	+$(MAKE) --no-print-directory all >build/demo-build.log 2>&1 || { tail -40 build/demo-build.log; exit 1; }
	demo/demo.sh

bench: deps all
	bench/bench.sh

lint: deps
	tools/lint.sh

docs:
	tools/docs.pl

clean:
	rm -rf build

help:
	@sed -n 's/^#   //p' Makefile

.PHONY: all deps protocol server node_agent extension install check demo bench lint docs clean help
