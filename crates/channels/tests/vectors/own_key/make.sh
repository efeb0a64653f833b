set -e
subject='/C=CN/O=Simulated Authority/CN=041@N91310000@Merchant@00000001'
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 9000 -subj '/C=CN/O=Simulated Authority'
openssl req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj "$subject"
openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -set_serial 4042424242 -days 9000 -out own.crt
export="openssl pkcs12 -export -inkey own.key -in own.crt -certfile ca.pem -passout pass:4821ab"
$export -legacy -iter 2000 -out legacy.pfx
$export -iter 2048 -out modern.pfx
$export -legacy -iter 2000 -certpbe PBE-SHA1-RC4-128 -out rc4.pfx
openssl pkcs12 -export -nokeys -in own.crt -passout pass:4821ab -out no_key.pfx
openssl pkcs12 -legacy -in legacy.pfx -passin pass:4821ab -nodes -out own.pem
rm ca.key ca.pem own.key own.csr own.crt
