/*
 * wanpath: a wide-area network in one process, for kernels without sch_netem.
 *
 * Owns: one TUN device in each named network namespace, and one queue ordered by time.
 * In: a table on standard input, one item a line:
 *       port NETNS IFNAME                 ports are numbered from 0; port 0 is the site's own edge
 *       host ADDRESS PORT ONE_WAY_US HOPS a remote host, how far it is from the edge
 * Out: each IPv4 packet leaves by the port of its destination after
 *       (distance of source) + (distance of destination) + a little seeded jitter,
 *       with its TTL lowered by the hops of both. Packets between one pair never overtake.
 * Never: anything outside those devices; a packet for an unknown address goes to the edge.
 *
 * Prints "ready" once every device exists; ends on SIGTERM or when its parent ends.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PORTS = 16, MAX_HOSTS = 64, MAX_WAITING = 4096, MTU = 1500 };

struct host {
    uint32_t addr;
    int port;
    int64_t one_way_ns;
    int hops;
    int64_t last_out_ns[3]; /* towards the host, from it, from it to another remote host */
};

struct waiting {
    int64_t due_ns;
    int port;
    int len;
    uint8_t bytes[MTU];
};

static struct pollfd ports[MAX_PORTS];
static int port_count;
static struct host hosts[MAX_HOSTS];
static int host_count;
static struct waiting *queue[MAX_WAITING]; /* ordered, soonest first: it is always short */
static int queue_len;
static unsigned long dropped;
static volatile sig_atomic_t stopping;

static void on_signal(int number) {
    (void)number;
    stopping = 1;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* xorshift32: the jitter has to look alive, not to be random. */
static uint32_t next_random(void) {
    static uint32_t state = 0x6c6f6e67;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static int open_port(const char *netns, const char *ifname) {
    char path[128];
    struct ifreq request = {0};
    snprintf(path, sizeof path, "/run/netns/%s", netns);
    int ns = open(path, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) die(path);
    close(ns);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) die("/dev/net/tun");
    request.ifr_flags = IFF_TUN | IFF_NO_PI; /* no offload: the kernel hands over wire packets */
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", ifname);
    if (ioctl(fd, TUNSETIFF, &request) < 0) die("TUNSETIFF");
    return fd;
}

static void read_table(void) {
    char line[256], netns[64], ifname[16], addr[32];
    int port, hops;
    long one_way_us;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "port %63s %15s", netns, ifname) == 2 && port_count < MAX_PORTS) {
            ports[port_count++] = (struct pollfd){open_port(netns, ifname), POLLIN, 0};
        } else if (sscanf(line, "host %31s %d %ld %d", addr, &port, &one_way_us, &hops) == 4
                   && host_count < MAX_HOSTS) {
            hosts[host_count++] =
                (struct host){inet_addr(addr), port, one_way_us * 1000, hops, {0, 0, 0}};
        } else {
            fprintf(stderr, "wanpath: cannot use: %s", line);
            exit(1);
        }
    }
}

static struct host *find_host(const uint8_t *addr) {
    for (int i = 0; i < host_count; i++)
        if (memcmp(&hosts[i].addr, addr, 4) == 0) return &hosts[i];
    return NULL;
}

/* RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), m being the word that holds the TTL. */
static void lower_ttl(uint8_t *ip, int hops) {
    uint16_t before = (uint16_t)(ip[8] << 8 | ip[9]);
    ip[8] = ip[8] > hops ? (uint8_t)(ip[8] - hops) : 1;
    uint16_t after = (uint16_t)(ip[8] << 8 | ip[9]);
    uint32_t sum = (uint16_t) ~(ip[10] << 8 | ip[11]);
    sum += (uint16_t)~before + (uint32_t)after;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ip[10] = (uint8_t)(~sum >> 8);
    ip[11] = (uint8_t)~sum;
}

static void enqueue(struct waiting *packet) {
    int at = queue_len++;
    for (; at > 0 && queue[at - 1]->due_ns > packet->due_ns; at--) queue[at] = queue[at - 1];
    queue[at] = packet;
}

static void accept_packet(int fd) {
    struct waiting *packet = malloc(sizeof *packet);
    if (!packet) die("malloc");
    packet->len = (int)read(fd, packet->bytes, MTU);
    int64_t arrived = now_ns();
    if (packet->len < 20 || packet->bytes[0] >> 4 != 4 || queue_len == MAX_WAITING) {
        dropped += packet->len > 0;
        free(packet);
        return;
    }
    struct host *from = find_host(packet->bytes + 12), *to = find_host(packet->bytes + 16);
    int64_t delay = (from ? from->one_way_ns : 0) + (to ? to->one_way_ns : 0);
    delay += (int64_t)(next_random() % 1000) * (delay / 100000); /* up to 1 % longer */
    packet->due_ns = arrived + delay;
    int64_t *last = from ? &from->last_out_ns[to ? 2 : 1] : to ? &to->last_out_ns[0] : NULL;
    if (last && packet->due_ns <= *last) packet->due_ns = *last + 1000;
    if (last) *last = packet->due_ns;
    packet->port = to ? to->port : 0;
    lower_ttl(packet->bytes, (from ? from->hops : 0) + (to ? to->hops : 0));
    enqueue(packet);
}

static void send_due(void) {
    int sent = 0;
    while (sent < queue_len && queue[sent]->due_ns <= now_ns()) {
        struct waiting *packet = queue[sent++];
        if (write(ports[packet->port].fd, packet->bytes, (size_t)packet->len) < 0) dropped++;
        free(packet);
    }
    queue_len -= sent;
    memmove(queue, queue + sent, (size_t)queue_len * sizeof *queue);
}

static void wait_for_work(void) {
    struct timespec wait = {1, 0};
    if (queue_len) {
        int64_t left = queue[0]->due_ns - now_ns();
        left = left < 0 ? 0 : left;
        wait = (struct timespec){left / 1000000000, left % 1000000000};
    }
    if (ppoll(ports, (nfds_t)port_count, &wait, NULL) < 0 && errno != EINTR) die("ppoll");
}

int main(void) {
    struct sched_param urgent = {.sched_priority = 40};
    if (sched_setscheduler(0, SCHED_FIFO, &urgent) < 0) perror("wanpath: not real-time");
    mlockall(MCL_CURRENT | MCL_FUTURE);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    read_table();
    puts("ready");
    fflush(stdout);
    while (!stopping) {
        wait_for_work();
        for (int i = 0; i < port_count; i++)
            if (ports[i].revents & POLLIN) accept_packet(ports[i].fd);
        send_due();
    }
    fprintf(stderr, "wanpath: %lu packets dropped\n", dropped);
    return 0;
}
