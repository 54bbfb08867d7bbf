# The extension, built with PGXS. Run at the top of the repository:
#
#	make -f extension/pgxs.mk [PG_CONFIG=...] [all|install|installcheck|clean]
#
# PGXS writes where it runs, so this file calls itself again inside build/, with
# the repository as VPATH; hdms.control, sql/ and expected/ are found there.
PG_CONFIG ?= pg_config
HDMS_TOP := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
HDMS_WORK := $(HDMS_TOP)/build/extension

ifneq ($(CURDIR),$(HDMS_WORK))

# VPATH makes the second run a build outside the sources; bitcode would need the very clang that PostgreSQL was built with.
all install installcheck uninstall clean:
	$(MAKE) -C $(HDMS_TOP)/protocol VARIANT=plain
	@mkdir -p $(HDMS_WORK)
	$(MAKE) -C $(HDMS_WORK) -f $(HDMS_TOP)/extension/pgxs.mk VPATH=$(HDMS_TOP) PG_CONFIG='$(PG_CONFIG)' with_llvm=no $@
.PHONY: all install installcheck uninstall clean

else

HDMS_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(HDMS_TOP)/hdms.control)
PROTOCOL_LIB := $(HDMS_TOP)/build/plain/libhdms_protocol.a
SCRIPT_PARTS := $(sort $(wildcard $(HDMS_TOP)/extension/sql/*.sql))
HDMS_SOURCES := $(notdir $(sort $(wildcard $(HDMS_TOP)/extension/*.c)))

EXTENSION = hdms
# "make demo DATA=DIR" comes through to here, where PGXS would take it for files to install.
override DATA :=
MODULE_big = hdms
OBJS = $(HDMS_SOURCES:.c=.o)
DATA_built = hdms--$(HDMS_VERSION).sql
EXTRA_CLEAN = $(HDMS_SOURCES:.c=.d) hdms.flags json_object.checked
REGRESS = $(notdir $(basename $(sort $(wildcard $(HDMS_TOP)/sql/*.sql))))

# PostgreSQL's own headers do not pass these warnings: they count as the system's.
PG_CPPFLAGS = -isystem $(shell $(PG_CONFIG) --includedir-server) -I$(HDMS_TOP)/extension -I$(HDMS_TOP)/protocol \
	-DHDMS_VERSION='"$(HDMS_VERSION)"' -DPGDLLEXPORT='__attribute__((visibility("default")))'
PG_CFLAGS = -std=gnu11 -fvisibility=hidden -Wall -Wextra -Werror -Wno-declaration-after-statement -Wno-unused-parameter $(HDMS_EXTRA_CFLAGS)

# Names stay inside, the protocol library's too: another module of the same backend may bring its own.
SHLIB_LINK = -Wl,--exclude-libs,ALL $(PROTOCOL_LIB) -ljansson -lcrypto -lcurl

PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Another PostgreSQL or other flags: everything is compiled again.
export HDMS_FLAGS = $(CC) $(CFLAGS) $(CPPFLAGS)
hdms.flags: FORCE
	@echo "$$HDMS_FLAGS" | cmp -s - $@ || echo "$$HDMS_FLAGS" > $@

$(OBJS): %.o: $(HDMS_TOP)/extension/%.c hdms.flags
	$(CC) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<

hdms.so: $(PROTOCOL_LIB) $(HDMS_TOP)/extension/pgxs.mk

# PostgreSQL's program exports a json_object() of its own, which a call to jansson's would reach: a crash.
all: json_object.checked
json_object.checked: hdms.so
	@! nm -D --undefined-only $< | grep -qw json_object || { echo 'hdms.so must not call jansson'"'"'s json_object(): use json_pack("{}")' >&2; exit 1; }
	@touch $@

# The list of parts is a prerequisite too: a part that was taken away is gone from the script.
$(DATA_built): $(SCRIPT_PARTS) $(HDMS_TOP)/extension/sql
	{ printf '%s\n' '\echo Use "CREATE EXTENSION hdms" to load this file. \quit'; cat $(SCRIPT_PARTS); } > $@

-include $(HDMS_SOURCES:.c=.d)
FORCE:
.PHONY: FORCE

endif
