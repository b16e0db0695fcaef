"""Tries to find descriptors that are not its own.

must come out: wrong
"""

import os
import sys
# try
os.fstat(5)
# try
os.fstat(6)
# try
os.fstat(7)
# try
os.fstat(8)
# try
os.fstat(9)
# try
os.fstat(10)
# try
os.fstat(11)
# try
os.fstat(12)
# try
os.fstat(13)
# try
os.fstat(14)
# try
os.fstat(15)
# try
os.fstat(16)
# try
os.fstat(17)
# try
os.fstat(18)
# try
os.fstat(19)
# try
os.fstat(20)
# try
os.fstat(21)
# try
os.fstat(22)
# try
os.fstat(23)
# try
os.fstat(24)
# try
os.fstat(25)
# try
os.fstat(26)
# try
os.fstat(27)
# try
os.fstat(28)
# try
os.fstat(29)
# try
os.fstat(30)
# try
os.fstat(31)
# try
os.fstat(32)
# try
os.fstat(33)
# try
os.fstat(34)
# try
os.fstat(35)
# try
os.fstat(36)
# try
os.fstat(37)
# try
os.fstat(38)
# try
os.fstat(39)
# try
os.fstat(40)
# try
os.fstat(41)
# try
os.fstat(42)
# try
os.fstat(43)
# try
os.fstat(44)
# try
os.fstat(45)
# try
os.fstat(46)
# try
os.fstat(47)
# try
os.fstat(48)
# try
os.fstat(49)
# try
os.fstat(50)
# try
os.fstat(51)
# try
os.fstat(52)
# try
os.fstat(53)
# try
os.fstat(54)
# try
os.fstat(55)
# try
os.fstat(56)
# try
os.fstat(57)
# try
os.fstat(58)
# try
os.fstat(59)
# try
os.fstat(60)
# try
os.fstat(61)
# try
os.fstat(62)
# try
os.fstat(63)
# try
os.fstat(64)
# try
os.fstat(65)
# try
os.fstat(66)
# try
os.fstat(67)
# try
os.fstat(68)
# try
os.fstat(69)
# try
os.fstat(70)
# try
os.fstat(71)
# try
os.fstat(72)
# try
os.fstat(73)
# try
os.fstat(74)
# try
os.fstat(75)
# try
os.fstat(76)
# try
os.fstat(77)
# try
os.fstat(78)
# try
os.fstat(79)
