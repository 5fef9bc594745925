"""QEMU/KVM guests, driven through libvirt.

``driver`` keeps the contract, ``domains`` are the questions it asks, ``connection`` reaches the daemon without ever
waiting for it longer than told. ``definition`` is what is read from and written into domain XML, ``disks`` what is done
to files, ``loans`` what the daemon is lent for a start, ``refusals`` what libvirt's errors mean. Only this package
imports libvirt, and it is imported only where a libvirt host is configured.
"""
