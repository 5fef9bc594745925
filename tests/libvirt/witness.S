# The boot sector of a guest that keeps a diary: sector 1 of the disk it was started from.
#
#   offset 0   u32   boots: one more each time it is started
#   offset 4   u32   beats: one more every `period` ticks, for as long as it runs
#   offset 8   u16   period, in ticks of the clock (18.2 a second); 0: write no more after the boot
#   offset 10  u16   1: switch itself off after the boot
#   offset 12  "WITN"
#
# as --32 -o witness.o witness.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o witness.bin witness.o

        .code16
        .globl _start
_start: xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movb    %dl, drive
        movb    $2, %ah
        call    sector
        incl    diary
        movb    $3, %ah
        call    sector
        movw    $0x3f8, %dx             # say so on the first serial port
        movb    $'B', %al
        outb    %al, %dx
        cmpw    $0, diary + 10
        je      beat
        movw    $0x604, %dx             # ACPI: S5, at the port that QEMU's pc and q35 have it
        movw    $0x2000, %ax
        outw    %ax, %dx
beat:   movw    diary + 8, %cx
        jcxz    rest
tick:   hlt
        loop    tick
        incl    diary + 4
        movb    $3, %ah
        call    sector
        jmp     beat
rest:   hlt
        jmp     rest

sector: movb    $1, %al                 # %ah: 2 reads, 3 writes; one sector, cylinder 0, head 0, sector 2
        movw    $2, %cx
        movb    $0, %dh
        movb    drive, %dl
        movw    $diary, %bx
        int     $0x13
        ret

        .set    drive, 0x7a00
        .set    diary, 0x7e00
        .org    510
        .word   0xaa55
