# Flags that every part is compiled with. VARIANT: plain (what is installed), asan, fuzz.
ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST)))/..)
VARIANT ?= plain
BUILD := $(ROOT)/build/$(VARIANT)
WARNINGS := -Wall -Wextra -Werror
HDMS_VERSION := $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(ROOT)/hdms.control)
CPPFLAGS += -D_GNU_SOURCE -I$(ROOT)/protocol -DHDMS_VERSION='"$(HDMS_VERSION)"'
CFLAGS_plain := -O2 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
ifeq ($(VARIANT),fuzz)
CC := clang
endif
HDMS_CFLAGS := -std=gnu11 $(WARNINGS) $(CFLAGS_$(VARIANT)) -fPIC -fvisibility=hidden -MMD -MP
PROTOCOL_LIB := $(BUILD)/libhdms_protocol.a
PROTOCOL_LIBS := $(PROTOCOL_LIB) -ljansson -lcrypto
