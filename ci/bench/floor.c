/* The floor of one beat: wake each second, read loadavg, meminfo and statvfs on kept descriptors,
 * commit three rows to an SQLite write-ahead log with the durability plimsoll promises, sleep.
 * Build: gcc -O2 -o floor floor.c -lsqlite3. Usage: floor FILE SECONDS [full|normal] */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char text[8192], pragma[128];
    struct statvfs fs;
    sqlite3 *db;
    sqlite3_stmt *insert;
    struct timespec at;
    if (argc < 3) return 2;
    const char *sync = argc > 3 ? argv[3] : "full";
    sqlite3_open(argv[1], &db);
    snprintf(pragma, sizeof pragma, "pragma journal_mode=wal; pragma synchronous=%s;", sync);
    sqlite3_exec(db, pragma, 0, 0, 0);
    sqlite3_exec(db, "create table s(ts int, series int, v real, primary key(ts, series)) without rowid", 0, 0, 0);
    sqlite3_prepare_v2(db, "insert into s values(?,?,?)", -1, &insert, 0);
    int load = open("/proc/loadavg", O_RDONLY), mem = open("/proc/meminfo", O_RDONLY);
    clock_gettime(CLOCK_MONOTONIC, &at);
    for (int left = atoi(argv[2]); left > 0; left--) {
        double v[3];
        text[pread(load, text, sizeof text - 1, 0)] = 0;
        v[0] = atof(strchr(text, ' '));
        text[pread(mem, text, sizeof text - 1, 0)] = 0;
        v[1] = atof(strstr(text, "MemAvailable:") + 13) / atof(strstr(text, "MemTotal:") + 9);
        statvfs("/", &fs);
        v[2] = 100.0 * (fs.f_blocks - fs.f_bfree) / fs.f_blocks;
        sqlite3_exec(db, "begin", 0, 0, 0);
        for (int k = 0; k < 3; k++) {
            sqlite3_bind_int64(insert, 1, time(0));
            sqlite3_bind_int(insert, 2, k);
            sqlite3_bind_double(insert, 3, v[k]);
            sqlite3_step(insert);
            sqlite3_reset(insert);
        }
        sqlite3_exec(db, "commit", 0, 0, 0);
        at.tv_sec++;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, 0);
    }
    return 0;
}
