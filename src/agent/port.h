/*
 * The virtio-serial port to the host, found by its name in sysfs.
 */
#ifndef AGENT_PORT_H
#define AGENT_PORT_H

#include <stddef.h>

#include "base/err.h"

/*
 * The device path of the port with this name: sysfs is a directory like /sys/class/virtio-ports,
 * dev one like /dev. ERR_NOT_FOUND while there is none.
 */
int port_find(const char *sysfs, const char *dev, const char *name, char *ret_path, size_t size,
              struct err *err) MUST_CHECK;

/*
 * A descriptor on which the kernel announces devices (NETLINK_KOBJECT_UEVENT). Open it before the
 * modules are loaded, so that no announcement is missed.
 */
int port_watch_open(int *ret_fd, struct err *err) MUST_CHECK;

/* port_find(), again with each announcement, at most for timeout_msec; then ERR_TIMEOUT. */
int port_wait(int watch_fd, const char *name, int timeout_msec, char *ret_path, size_t size,
              struct err *err) MUST_CHECK;

#endif
