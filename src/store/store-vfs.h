/*
 * For tests that let the disk fail: a store on an SQLite VFS of this name.
 */
#ifndef STORE_STORE_VFS_H
#define STORE_STORE_VFS_H

#include "store/store.h"

/* store_open() on a named VFS of SQLite, for tests with failing disks. */
int store_open_vfs(const char *path, const char *vfs, struct store **ret_store,
                   struct err *err) MUST_CHECK;

#endif
